package rendezvous

import (
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// maxStored bounds the entries that strangers can make this host keep, of records and of providers each: 4,096 records
// are 8 MiB.
const maxStored = 4096

// store keeps at most maxStored entries, in memory. When it is full a new one takes the place of another, by chance: who
// floods it pushes out its own flood first. Safe for concurrent use.
type store struct {
	mu   sync.RWMutex // guards all below
	all  *ds.MapDatastore
	keys map[ds.Key]bool
}

var _ ds.Batching = (*store)(nil)

func newStore() *store { return &store{all: ds.NewMapDatastore(), keys: make(map[ds.Key]bool)} }

// Get implements ds.Read.
func (s *store) Get(ctx context.Context, k ds.Key) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all.Get(ctx, k)
}

// Has implements ds.Read.
func (s *store) Has(ctx context.Context, k ds.Key) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all.Has(ctx, k)
}

// GetSize implements ds.Read.
func (s *store) GetSize(ctx context.Context, k ds.Key) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all.GetSize(ctx, k)
}

// Query implements ds.Read. The results are a copy.
func (s *store) Query(ctx context.Context, q query.Query) (query.Results, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all.Query(ctx, q)
}

// Put implements ds.Write.
func (s *store) Put(ctx context.Context, k ds.Key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keys[k] && len(s.keys) >= maxStored {
		for old := range s.keys { // Go begins anywhere
			delete(s.keys, old)
			if err := s.all.Delete(ctx, old); err != nil {
				return err
			}
			break
		}
	}
	s.keys[k] = true
	return s.all.Put(ctx, k, value)
}

// Delete implements ds.Write.
func (s *store) Delete(ctx context.Context, k ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, k)
	return s.all.Delete(ctx, k)
}

// Sync implements ds.Datastore: there is nothing behind memory.
func (*store) Sync(context.Context, ds.Key) error { return nil }

// Close implements ds.Datastore.
func (*store) Close() error { return nil }

// Batch implements ds.Batching.
func (s *store) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }
