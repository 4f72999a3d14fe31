package index

import (
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// shelf is a vault that keeps one block, which a live record of ann's needs, and the hashes of its copies in the store.
type shelf struct {
	t      *testing.T
	w      *world
	v      *device
	ref    block.EpochRef
	copies [][32]byte
}

func newShelf(t *testing.T, names ...string) *shelf {
	w := newWorld(t, names...)
	s := &shelf{t: t, w: w, v: keeperOf(t, w)}
	a := w.devices[0]
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: block.Recipe{{ID: block.ID{1}, Size: 5}}})
	bring(t, a, s.v)
	epoch, _ := a.keys.Current()
	s.ref = block.EpochRef{ID: block.ID{1}, Epoch: epoch.ID}
	return s
}

// put notes a copy that a device gave.
func (s *shelf) put(n byte, from int) {
	s.t.Helper()
	s.copies = append(s.copies, [32]byte{n})
	s.v.update(func(tx *Tx) error {
		return tx.PutStored([]Stored{{Block: s.ref, Sealed: [32]byte{n}, Bytes: 50, From: s.w.devices[from].id.Device()}})
	})
	s.check()
}

func (s *shelf) doubt(n byte, by int) (noted bool) {
	s.t.Helper()
	s.v.update(func(tx *Tx) (err error) {
		noted, err = tx.DoubtCopy(s.ref, [32]byte{n}, s.w.devices[by].id.Device(), s.copies)
		return err
	})
	s.check()
	return noted
}

func (s *shelf) drop(n byte) {
	s.t.Helper()
	s.copies = slices.DeleteFunc(s.copies, func(h [32]byte) bool { return h == [32]byte{n} })
	s.v.update(func(tx *Tx) error { return tx.DropCopy(s.ref, [32]byte{n}, s.copies) })
	s.check()
}

func (s *shelf) check() {
	s.t.Helper()
	must(s.t, s.v.f.check(s.t.Context()))
}

// want holds whether the block counts as here, how many bytes it has, and who gave its copies.
func (s *shelf) want(held bool, size int64, from ...int) {
	s.t.Helper()
	s.v.view(func(tx *Tx) error {
		d, err := tx.DemandFor(s.ref)
		if err != nil || d.Held != held || d.Stored != size {
			s.t.Errorf("held %v, %d bytes (%v), want %v, %d", d.Held, d.Stored, err, held, size)
		}
		copies, err := tx.KeptCopies(s.ref, s.copies)
		must(s.t, err)
		for i, c := range copies {
			if c.From != s.w.devices[from[i]].id.Device() {
				s.t.Errorf("copy %x is of %s, want device %d", c.Sealed[:1], c.From.Short(), from[i])
			}
		}
		return nil
	})
}

func TestABlockCountsAsHereWhileNobodyDoubtsOneOfItsCopies(t *testing.T) {
	s := newShelf(t, "ann", "bob", "cyd")
	s.want(false, 0)
	s.put(1, 0)
	s.want(true, 50, 0)
	if !s.doubt(1, 2) || s.doubt(1, 2) {
		t.Error("a doubt is noted once")
	}
	s.want(false, 50, 0)
	s.put(2, 1)
	s.want(true, 100, 0, 1)
	s.doubt(2, 2)
	s.want(false, 100, 0, 1)
	s.put(3, 1)
	s.drop(2)
	s.want(true, 100, 0, 1)
	s.drop(3)
	s.want(false, 50, 0)
	s.drop(1)
	s.want(false, 0)
}

func TestTheDoubtsOfARevokedDeviceAreForgiven(t *testing.T) {
	s := newShelf(t, "ann", "bob", "cyd")
	s.put(1, 0)
	s.put(2, 1)
	liar := s.w.devices[2].id.Device()
	s.doubt(1, 2)
	s.doubt(2, 2)
	s.doubt(2, 0)
	s.v.view(func(tx *Tx) error {
		if d := tx.Doubters(); len(d) != 2 || !slices.Contains(d, liar) {
			t.Errorf("%v doubt something", d)
		}
		return nil
	})
	for more := true; more; {
		s.v.update(func(tx *Tx) (err error) { more, err = tx.Forgive(liar, 1); return err })
		s.check()
	}
	s.want(true, 100, 0, 1)
	s.v.view(func(tx *Tx) error {
		copies, err := tx.KeptCopies(s.ref, s.copies)
		if err != nil || copies[0].Doubted() || !copies[1].Doubted() {
			t.Errorf("%+v, %v", copies, err)
		}
		return nil
	})
}

// What a device doubts is bounded, and so is who is heard of one copy.
func TestDoubtsAreBounded(t *testing.T) {
	s := newShelf(t, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
	s.put(1, 0)
	for by := range s.w.devices {
		if noted := s.doubt(1, by); noted != (by < maxDoubters) {
			t.Errorf("the doubt of device %d is noted: %v", by, noted)
		}
	}
	s.put(2, 0)
	s.v.update(func(tx *Tx) error {
		n, err := tx.uploader(s.w.devices[9].id.Device())
		tx.bucket(bCopies).Put(doubtsKey(n), []byte{0, 0, 0, 0, 0, 1, 0, 0})
		return err
	})
	s.v.update(func(tx *Tx) error {
		if noted, err := tx.DoubtCopy(s.ref, [32]byte{2}, s.w.devices[9].id.Device(), s.copies); noted || err != nil {
			t.Errorf("a device doubts more than %d copies: %v", maxDoubts, err)
		}
		return nil
	})
}

// Doubts survive a restart, and go with the block.
func TestDoubtsAreStoredAndGoWithTheirBlock(t *testing.T) {
	s := newShelf(t, "ann", "bob")
	s.put(1, 0)
	s.doubt(1, 1)
	again := s.v.db.Clone(Options{Clock: s.w.clock})
	f, err := again.Folder(s.w.folder, FolderConfig{Mesh: s.w.mesh, Identity: s.v.id, Roster: s.v.f.config.Load().Roster, Keeper: true})
	must(t, err)
	must(t, f.View(func(tx *Tx) error {
		copies, err := tx.KeptCopies(s.ref, s.copies)
		if err != nil || !copies[0].Doubted() || copies[0].Doubters[0] != s.w.devices[1].id.Device() {
			t.Errorf("after a restart: %+v, %v", copies, err)
		}
		return nil
	}))
	a := s.w.devices[0]
	a.write(a.edit(Entry{Path: "x", Kind: shoal.KindTombstone}))
	bring(t, a, s.v)
	s.w.now = s.w.now.Add(time.Hour)
	s.v.update(func(tx *Tx) error {
		if _, err := tx.LetGo(s.w.now, 10); err != nil {
			return err
		}
		refs, err := tx.BeginDrop(s.w.now, 10)
		if err != nil || len(refs) != 1 {
			t.Errorf("%v are dropped, %v: a doubted block is one that is stored", refs, err)
		}
		return tx.EndDrop(refs)
	})
	s.check()
	s.v.view(func(tx *Tx) error {
		if k, _ := tx.bucket(bCopies).Cursor().Seek(nil); k != nil {
			t.Errorf("%x is left of the doubts", k)
		}
		return nil
	})
}

func FuzzDecodeHeldCopy(f *testing.F) {
	f.Add([]byte{0})
	f.Add((&heldCopy{from: 3, doubters: []uint32{1, 900}}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeHeldCopy(data)
		if err != nil {
			return
		}
		again, err := decodeHeldCopy(c.encode())
		if err != nil || again.from != c.from || !slices.Equal(again.doubters, c.doubters) || len(c.doubters) > maxDoubters || len(c.encode()) > len(data) {
			t.Fatalf("%+v does not survive encoding: %+v, %v", c, again, err)
		}
	})
}

// What records need is told with whether it must be here, up to a frontier.
func TestEachNeedTellsWhatMustBeHere(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	v := keeperOf(t, w)
	a := w.devices[0]
	blocks := func(n ...byte) (r block.Recipe) {
		for _, b := range n {
			r = append(r, block.Ref{ID: block.ID{b}, Size: 5})
		}
		return r
	}
	a.write(Entry{Path: "x", Kind: shoal.KindFile, Recipe: blocks(1)})
	a.write(Entry{Path: "y", Kind: shoal.KindFile, Recipe: blocks(2, 3)})
	bring(t, a, v)
	a.write(a.edit(Entry{Path: "x", Kind: shoal.KindFile, Recipe: blocks(4)}))
	bring(t, a, v)
	long := Entry{Path: "long", Kind: shoal.KindFile}
	for i := range byte(100) {
		long.Recipe = append(long.Recipe, block.Ref{ID: block.ID{9, i}, Size: 5})
	}
	a.write(long)
	bring(t, a, v)
	own := journalOf(a)
	needs := func(upTo shoal.Seq) (live, kept, nodes int) {
		v.view(func(tx *Tx) error {
			return tx.EachNeed(map[shoal.JournalID]shoal.Seq{own: upTo}, func(n Need) error {
				switch {
				case n.Node:
					nodes++
				case n.Live:
					live++
				default:
					kept++
				}
				return nil
			})
		})
		return live, kept, nodes
	}
	for upTo, want := range map[shoal.Seq][3]int{0: {}, 1: {0, 1, 0}, 2: {2, 1, 0}, 3: {3, 1, 0}, 4: {3, 1, 1}} {
		if live, kept, nodes := needs(upTo); [3]int{live, kept, nodes} != want {
			t.Errorf("up to %d: %d live, %d kept, %d nodes, want %v", upTo, live, kept, nodes, want)
		}
	}
	a.view(func(tx *Tx) error {
		nodes, err := tx.RefTree(shoal.Dot{Journal: own, Seq: 4})
		for range 3 { // children are demanded once their parent is here
			for _, n := range nodes {
				v.update(func(tx *Tx) error { return tx.PutNode(block.SealedHash(n), n) })
			}
			v.update(func(tx *Tx) error { _, err := tx.WorkNodes(100); return err })
		}
		return err
	})
	if live, _, nodes := needs(4); live != 3+100+1 || nodes != 0 { // and a part of the recipe
		t.Errorf("with its nodes: %d live, %d nodes", live, nodes)
	}
}
