package index

import (
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
)

// One bad record is set aside, counts in the digests, and stops nothing else.
func TestBadRecordsAreSetAside(t *testing.T) {
	for name, bad := range map[string]func(s *scribe) raw{
		"SealedWithAnotherKey": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			e.Time = 1
			epoch, _ := s.d.keys.Current()
			epoch.Record[0] ^= 1
			c := s.clear(&e, 0)
			return newSealer(&epoch).seal(c.encode(), encodeEntry(&e, s.id))
		},
		"AnotherNonce": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			e.Time = 1
			epoch, _ := s.d.keys.Current()
			epoch.Nonce[0] ^= 1
			c := s.clear(&e, 0)
			return newSealer(&epoch).seal(c.encode(), encodeEntry(&e, s.id))
		},
		"AnUnknownFieldInTheClearPart": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			e.Time = 1
			epoch, _ := s.d.keys.Current()
			return newSealer(&epoch).seal(wireUint(s.clear(&e, 0).encode(), 99, 1), encodeEntry(&e, s.id))
		},
		"APathThatLeavesTheFolder": func(s *scribe) raw {
			e := s.d.file("../bad", "bad")
			e.Time = 1
			return s.seal(s.clear(&e, 0), encodeEntry(&e, s.id))
		},
		"AnUnknownKind": func(s *scribe) raw {
			e := Entry{Path: "bad", Kind: 9, Time: 1}
			return s.seal(s.clear(&e, 0), encodeEntry(&e, s.id))
		},
		"AnotherFolder": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			e.Time = 1
			c := s.clear(&e, 0)
			c.folder[0] ^= 1
			return s.seal(c, encodeEntry(&e, s.id))
		},
		"OtherBlocksInTheClearPart": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			e.Time = 1
			c := s.clear(&e, 0)
			c.refs[0].ID[0] ^= 1
			return s.seal(c, encodeEntry(&e, s.id))
		},
		"NoEntryAtAll": func(s *scribe) raw {
			e := s.d.file("bad", "bad")
			return s.seal(s.clear(&e, 0), []byte("no entry"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b", "c")
			a, b, c := w.devices[0], w.devices[1], w.devices[2]
			s := newScribe(a, 1)
			s.write(a.file("first", "first"), 0)
			s.add(0, bad(s))
			s.write(a.file("last", "last"), 0)
			got, err := b.accept(s.batch(0))
			must(t, err)
			if len(got.Problems) != 1 || got.Problems[0].Kind != ProblemRecord {
				t.Errorf("problems: %+v", got.Problems)
			}
			if b.desired("last") == nil || b.frontier()[s.id].Seq != 3 {
				t.Error("the rest was stopped")
			}
			b.check()
			c.stage(b, s.id) // what was set aside is passed on as it came
			if c.desired("last") == nil || string(c.frontier()[s.id].Head) != string(b.frontier()[s.id].Head) {
				t.Error("not passed on")
			}
			c.check()
		})
	}
}

// A record that cannot be read takes the place of a good one: the file stays on this disk as it is until a good one follows.
func TestPathOfABadRecordIsHeld(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	s := newScribe(a, 1)
	s.write(Entry{Path: "dir", Kind: shoal.KindFolder, Mode: 0o755}, 0)
	s.write(a.file("dir/x", "one"), 0)
	_, err := b.accept(s.batch(0))
	must(t, err)
	b.apply()
	e := Entry{Path: "dir/x", Kind: 9, Time: 7}
	s.add(2, s.seal(s.clear(&e, 2), encodeEntry(&e, s.id)))
	_, err = b.accept(s.batch(2))
	must(t, err)
	if got := b.desired("dir/x"); got == nil || got.Content != b.base("dir/x").Content {
		t.Errorf("desired: %+v", got)
	}
	b.view(func(tx *Tx) error {
		row, _, err := tx.Row("dir/x")
		if files, _ := tx.NeedTotals(); files != 0 || !row.Held {
			t.Errorf("%d owed, held %v", files, row.Held)
		}
		if problems, err := tx.Problems(); err != nil || len(problems) != 1 || problems[0].Path != "dir/x" || !strings.Contains(problems[0].Message, ":3") {
			t.Errorf("problems: %+v, %v", problems, err)
		}
		return err
	})
	b.check()
	s.write(a.file("dir/x", "two"), 2)
	_, err = b.accept(s.batch(3))
	must(t, err)
	if got := b.desired("dir/x"); got == nil || got.Recipe[0] != a.recipe("two", 1)[0] {
		t.Errorf("after a good record: %+v", got)
	}
	b.view(func(tx *Tx) error {
		if problems, err := tx.Problems(); err != nil || len(problems) != 0 {
			t.Errorf("problems: %+v, %v", problems, err)
		}
		return nil
	})
	b.check()
}

func (d *device) base(p shoal.Path) *Base {
	d.world.t.Helper()
	var b *Base
	d.view(func(tx *Tx) (err error) {
		b, err = tx.Base(p)
		return err
	})
	return b
}

// What a slot shows follows from its newest record alone, also when that is of another path than those before it: every device
// comes to the same, whether it saw the older ones or not.
func TestSlotMayChangeItsPath(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	s := newScribe(a, 1)
	s.write(a.file("before", "one"), 0)
	_, err := b.accept(s.batch(0))
	must(t, err)
	s.write(a.file("after", "two"), 1)
	_, err = b.accept(s.batch(1))
	must(t, err)
	c.stage(b, s.id)
	for _, d := range []*device{b, c} {
		if d.desired("before") != nil || d.desired("after") == nil {
			t.Error("devices differ")
		}
		d.check()
	}
}

// Records under an epoch whose key comes later wait for it.
func TestRecordWaitsForItsKey(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	old := b.keys
	a.write(a.file("x", "one"))
	b.pull(a)
	b.apply()
	_, err := w.roster.NewEpoch(a.id, w.folder, w.now, w.chance)
	must(t, err)
	w.refresh()
	fresh := b.keys
	b.keys = old
	dot := a.write(a.edit(a.file("x", "two")), a.file("y", "three"))[0]
	got, err := b.accept(a.batch(dot.Journal, 1))
	must(t, err)
	if len(got.Problems) != 2 || b.desired("y") != nil || b.desired("x").Recipe[0] != a.recipe("one", 1)[0] {
		t.Errorf("without the key: %+v", got)
	}
	b.check()
	b.keys = fresh
	b.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
	for p, content := range map[shoal.Path]string{"x": "two", "y": "three"} {
		if s := b.desired(p); s == nil || s.Recipe[0] != a.recipe(content, 1)[0] {
			t.Errorf("%s with the key: %+v", p, s)
		}
	}
	b.view(func(tx *Tx) error {
		if problems, err := tx.Problems(); err != nil || len(problems) != 0 {
			t.Errorf("problems: %+v, %v", problems, err)
		}
		return nil
	})
	b.check()
}
