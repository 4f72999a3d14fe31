package s3store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// spoolPattern names the files of spools; what a former process left of them is removed by Open.
const spoolPattern = "spool-*"

// spool is a pack that is being filled, in a file of the cache directory, and the deletions that go into the ledger with it.
type spool struct {
	dir  string
	rand io.Reader

	file *os.File // nil until the first put
	head packfile.Head
	end  int64

	changes   map[block.Key][]spooled // by key without hash
	puts      int                     // changes that are puts
	deletions int                     // and those that are deletions

	uploaded bool // the pack is in the bucket, as it is now
	lost     bool // the ledger says that the pack's name must not be used
}

// spooled is the last thing that happened to one copy.
type spooled struct {
	sealed [32]byte
	offset uint32 // of the record; 0: deleted
	length uint32
	from   uint32 // number of the pack from which the copy moves; 0: it is new
	asOf   uint32 // of a deletion: a pin that ends later stops it; seconds since 1970
}

func newSpool(dir string, rand io.Reader) *spool {
	return &spool{dir: dir, rand: rand, changes: make(map[block.Key][]spooled)}
}

// anyCopy is k without its hash.
func anyCopy(k block.Key) block.Key { k.Sealed = [32]byte{}; return k }

// name is that of the pack.
func (s *spool) name() ledger.PackName { return ledger.NameOf(s.head.Salt) }

// full tells whether the next change should go into another spool.
func (s *spool) full(packSize int64) bool {
	return s.end >= packSize || s.puts >= ledger.MaxList || s.deletions >= ledger.MaxList
}

// find returns what happened to the copy k.
func (s *spool) find(k block.Key) (spooled, bool) {
	list := s.changes[anyCopy(k)]
	i := slices.IndexFunc(list, func(c spooled) bool { return c.sealed == k.Sealed })
	if i < 0 {
		return spooled{}, false
	}
	return list[i], true
}

// put writes a block behind the others. If that fails, nothing happened.
func (s *spool) put(k block.Key, sealed []byte, from uint32) error {
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	r := packfile.Record{Kind: packfile.KindBlock, Length: uint32(len(sealed)), Key: k}
	head := r.Encode(&s.head.Salt, uint32(s.end))
	if _, err := s.file.WriteAt(head[:], s.end); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(sealed, s.end+packfile.RecordHeadSize); err != nil {
		return err
	}
	s.set(k, spooled{sealed: k.Sealed, offset: uint32(s.end), length: r.Length, from: from})
	s.end += r.Size()
	return nil
}

func (s *spool) create() error {
	if _, err := io.ReadFull(s.rand, s.head.Salt[:]); err != nil {
		return fmt.Errorf("read salt: %w", err)
	}
	f, err := os.CreateTemp(s.dir, spoolPattern)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(s.head.Encode(), 0); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	s.file, s.end = f, packfile.FirstRecord
	return nil
}

// set notes what happened to the copy k.
func (s *spool) set(k block.Key, c spooled) {
	s.forget(k)
	s.changes[anyCopy(k)] = append(s.changes[anyCopy(k)], c)
	s.count(c, 1)
}

// delete notes that the copy k is deleted, if no pin on it ends after asOf.
func (s *spool) delete(k block.Key, asOf uint32) { s.set(k, spooled{sealed: k.Sealed, asOf: asOf}) }

// forget notes that nothing happened to the copy k.
func (s *spool) forget(k block.Key) {
	list := s.changes[anyCopy(k)]
	i := slices.IndexFunc(list, func(c spooled) bool { return c.sealed == k.Sealed })
	if i < 0 {
		return
	}
	s.count(list[i], -1)
	if list = slices.Delete(slices.Clone(list), i, i+1); len(list) == 0 {
		delete(s.changes, anyCopy(k))
		return
	}
	s.changes[anyCopy(k)] = list
}

func (s *spool) count(c spooled, n int) {
	if c.offset == 0 {
		s.deletions += n
	} else {
		s.puts += n
	}
}

// read returns a block that was put.
func (s *spool) read(c spooled) ([]byte, error) {
	sealed := make([]byte, c.length)
	if _, err := s.file.ReadAt(sealed, int64(c.offset)+packfile.RecordHeadSize); err != nil {
		return nil, err
	}
	if block.SealedHash(sealed) != c.sealed {
		return nil, ErrDamaged
	}
	return sealed, nil
}

// rewritten returns a spool under a new name that holds only those puts which keep wants, and all deletions.
func (s *spool) rewritten(keep func(k block.Key) bool) (_ *spool, err error) {
	next := newSpool(s.dir, s.rand)
	defer func() {
		if err != nil {
			err = errors.Join(err, next.close())
		}
	}()
	for name, list := range s.changes {
		for _, c := range list {
			k := name
			k.Sealed = c.sealed
			switch {
			case c.offset == 0:
				next.delete(k, c.asOf)
			case keep(k):
				sealed, err := s.read(c)
				if err != nil {
					return nil, err
				}
				if err := next.put(k, sealed, c.from); err != nil {
					return nil, err
				}
			}
		}
	}
	return next, nil
}

// inOrder sorts puts as they lie in the pack.
func inOrder(puts []ledger.Put) {
	slices.SortFunc(puts, func(a, b ledger.Put) int { return int(int64(a.Offset) - int64(b.Offset)) })
}

// overlay merges what happened over copies, all of the block k, and returns those that match k's hash, lowest hash first; those which lie in the
// spool have in set.
func (s *spool) overlay(k block.Key, copies []held) []held {
	for _, c := range s.changes[anyCopy(k)] {
		if k.Sealed != ([32]byte{}) && k.Sealed != c.sealed {
			continue
		}
		copies = slices.DeleteFunc(copies, func(h held) bool { return h.sealed == c.sealed })
		if c.offset != 0 {
			copies = append(copies, held{copyAt: copyAt{sealed: c.sealed, length: c.length}, in: s, at: c})
		}
	}
	slices.SortFunc(copies, func(a, b held) int { return bytes.Compare(a.sealed[:], b.sealed[:]) })
	return copies
}

// close removes the file.
func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := errors.Join(s.file.Close(), os.Remove(s.file.Name()))
	s.file = nil
	return err
}

// removeSpools removes what a process that died left behind.
func removeSpools(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}
