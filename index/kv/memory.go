package kv

import (
	"maps"
	"sync"

	"github.com/tidwall/btree"
)

// Memory is a Store in memory, for tests and simulation: the same laws, and a crash on demand.
type Memory struct {
	committer
	lose bool

	state   sync.RWMutex     // guards what follows; taken after committer.mu
	now     map[string]*tree // committed; maps and trees are replaced, never changed
	durable map[string]*tree // what a crash leaves
	closed  bool
}

type tree = btree.Map[string, []byte]

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store. With loseUnsynced set, what was committed after the last Sync is lost in a Crash.
func NewMemory(loseUnsynced bool) *Memory {
	return &Memory{lose: loseUnsynced, now: map[string]*tree{}, durable: map[string]*tree{}}
}

// Update runs fn; see Store.
func (m *Memory) Update(fn func(Tx) error) error { return m.update(m, fn) }

// View runs fn; see Store.
func (m *Memory) View(fn func(Tx) error) error {
	m.state.RLock()
	now, closed := m.now, m.closed
	m.state.RUnlock()
	if closed {
		return ErrClosed
	}
	return fn(snapshot{memorySource(now)})
}

// Sync makes all commits survive a Crash.
func (m *Memory) Sync() error {
	m.state.Lock()
	defer m.state.Unlock()
	m.durable = m.now
	return nil
}

// Close refuses what comes after; a Crash still finds what was durable.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drain()
	m.state.Lock()
	defer m.state.Unlock()
	m.closed = true
	if !m.lose {
		m.durable = m.now
	}
	return nil
}

// Clone returns a store that holds what is durable now, as an image of the disk would. This one goes on.
func (m *Memory) Clone() *Memory {
	m.state.RLock()
	defer m.state.RUnlock()
	return &Memory{lose: m.lose, now: m.durable, durable: m.durable}
}

// Crash returns a store that holds what was durable. The old one is closed.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drain()
	m.state.Lock()
	defer m.state.Unlock()
	m.closed = true
	return &Memory{lose: m.lose, now: m.durable, durable: m.durable}
}

func (m *Memory) begin() (batch, error) {
	m.state.RLock()
	defer m.state.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	return &memoryBatch{store: m, buckets: maps.Clone(m.now), copied: map[string]bool{}}, nil
}

// memorySource reads from a committed state.
type memorySource map[string]*tree

func (s memorySource) bucket(name string) reader {
	if t := s[name]; t != nil {
		return memoryReader{t}
	}
	return emptyReader{}
}

// memoryBatch is a state in the making.
type memoryBatch struct {
	store   *Memory
	buckets map[string]*tree
	copied  map[string]bool // buckets that belong to this batch and may be changed
}

func (b *memoryBatch) bucket(name string) reader { return memorySource(b.buckets).bucket(name) }

func (b *memoryBatch) flush(o *overlay) error {
	for name, ob := range o.buckets {
		if ob.dropped {
			delete(b.buckets, name)
			delete(b.copied, name)
		}
		if ob.changes.Len() == 0 {
			continue
		}
		t := b.own(name)
		ob.changes.Scan(func(k string, v []byte) bool {
			if v == nil {
				t.Delete(k)
			} else {
				t.Set(k, v)
			}
			return true
		})
	}
	return nil
}

// own returns a bucket that this batch may change.
func (b *memoryBatch) own(name string) *tree {
	t := b.buckets[name]
	switch {
	case t == nil:
		t = new(tree)
	case !b.copied[name]:
		t = t.Copy() // copy on write: pages are shared until they change
	}
	b.buckets[name], b.copied[name] = t, true
	return t
}

func (b *memoryBatch) commit() error {
	m := b.store
	m.state.Lock()
	defer m.state.Unlock()
	m.now = b.buckets
	if !m.lose {
		m.durable = m.now
	}
	return nil
}

func (b *memoryBatch) rollback() {}

type memoryReader struct{ t *tree }

func (r memoryReader) Get(key []byte) []byte {
	v, _ := r.t.Get(string(key))
	return v
}

func (r memoryReader) Cursor() Cursor { return &memoryCursor{it: r.t.Iter()} }

type memoryCursor struct {
	it btree.MapIter[string, []byte]
}

func (c *memoryCursor) Seek(key []byte) (k, v []byte) {
	if len(key) == 0 {
		return c.at(c.it.First())
	}
	return c.at(c.it.Seek(string(key)))
}

func (c *memoryCursor) Next() (k, v []byte) { return c.at(c.it.Next()) }

func (c *memoryCursor) at(ok bool) (k, v []byte) {
	if !ok {
		return nil, nil
	}
	return []byte(c.it.Key()), c.it.Value()
}
