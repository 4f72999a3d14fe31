package index

import (
	"errors"
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
)

// many are drafts of n files in a folder.
func many(d *device, dir shoal.Path, content string, n int) []Entry {
	var out []Entry
	for i := range n {
		out = append(out, d.file(dir.Join(fmt.Sprintf("f%04d", i)), content))
	}
	return out
}

func (d *device) stageList(from *device, id shoal.JournalID) (missing []uint64, err error) {
	var list []BucketDigest
	var head []byte
	from.view(func(tx *Tx) (err error) {
		list, head, err = tx.Digests(id)
		return err
	})
	err = d.f.Update(d.world.t.Context(), func(tx *Tx) (err error) {
		missing, err = tx.Stage(id, head, list)
		return err
	})
	return missing, err
}

func (d *device) stageBucket(from *device, id shoal.JournalID, n uint64) error {
	var records [][]byte
	from.view(func(tx *Tx) (err error) {
		records, err = tx.Bucket(id, n)
		return err
	})
	return d.f.Update(d.world.t.Context(), func(tx *Tx) error { return second(tx.StageBucket(id, n, records)) })
}

func (d *device) finish(id shoal.JournalID) error {
	return d.f.Update(d.world.t.Context(), func(tx *Tx) error { return second(tx.FinishStage(id)) })
}

func TestTransferShowsWhatItCreatesAndCountsAtTheEnd(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	id := a.write(append(many(a, "d", "one", 1500), a.file("x", "one"))...)[0].Journal
	b.pull(a)
	b.apply()
	a.write(append(many(a, "e", "one", 1000), a.edit(a.file("x", "two")), a.edit(Entry{Path: "d/f0000", Kind: shoal.KindTombstone}))...)
	missing, err := b.stageList(a, id)
	must(t, err)
	if len(missing) != 3 {
		t.Fatalf("missing %v", missing)
	}
	must(t, b.stageBucket(a, id, 2))
	if err := b.finish(id); !errors.Is(err, ErrIncomplete) {
		t.Errorf("finish: %v", err)
	}
	if b.desired("e/f0800") == nil || b.desired("d/f0000") == nil || b.desired("x").Recipe[0] != a.recipe("one", 1)[0] || b.frontier()[id].Seq != 1501 {
		t.Error("before the end, creations must show and nothing else")
	}
	b.check()
	must(t, b.stageBucket(a, id, 1))
	must(t, b.stageBucket(a, id, 0))
	must(t, b.finish(id))
	must(t, b.finish(id)) // again: nothing to do
	if b.desired("d/f0000") != nil || b.desired("x").Recipe[0] != a.recipe("two", 1)[0] || b.frontier()[id].Seq != 2503 {
		t.Error("at the end, all must count")
	}
	b.check()
}

// While a transfer is under way the journal goes on: buckets that did not change are kept, one that became empty is forgotten.
func TestTransferGoesOnUnderANewerHead(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	id := a.write(many(a, "d", "one", BucketSize-1)...)[0].Journal
	a.write(many(a, "e", "one", 2*BucketSize)...)
	missing, err := b.stageList(a, id)
	must(t, err)
	if len(missing) != 3 {
		t.Fatalf("missing %v", missing)
	}
	must(t, b.stageBucket(a, id, 0))
	must(t, b.stageBucket(a, id, 1))
	var again []Entry
	for _, e := range many(a, "d", "two", BucketSize-1) { // bucket 0 becomes empty
		again = append(again, a.edit(e))
	}
	a.write(again...)
	missing, err = b.stageList(a, id)
	must(t, err)
	if len(missing) != 2 || missing[0] != 2 || missing[1] != 3 {
		t.Errorf("missing %v", missing)
	}
	if b.desired("d/f0000") != nil {
		t.Error("what was staged and superseded still shows")
	}
	b.check()
	must(t, b.stageBucket(a, id, 2))
	must(t, b.stageBucket(a, id, 3))
	must(t, b.finish(id))
	if b.desired("d/f0000").Recipe[0] != a.recipe("two", 1)[0] {
		t.Error("not the newest")
	}
	b.check()
}

func TestTransferRefuses(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	id := a.write(many(a, "d", "one", 3)...)[0].Journal
	var list []BucketDigest
	var head []byte
	var records [][]byte
	a.view(func(tx *Tx) (err error) {
		list, head, err = tx.Digests(id)
		must(t, err)
		records, err = tx.Bucket(id, 0)
		return err
	})
	stage := func(list []BucketDigest) error {
		return b.f.Update(t.Context(), func(tx *Tx) error { return second(tx.Stage(id, head, list)) })
	}
	bucket := func(n uint64, records [][]byte) error {
		return b.f.Update(t.Context(), func(tx *Tx) error { return second(tx.StageBucket(id, n, records)) })
	}
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"a bucket before the list", func() error { return bucket(0, records) }, ErrNotFound},
		{"another list", func() error { return stage(nil) }, ErrMismatch},
		{"an unsorted list", func() error { return stage(append(list[:1:1], list...)) }, ErrMalformed},
		{"the right list", func() error { return stage(list) }, nil},
		{"a bucket not in the list", func() error { return bucket(1, nil) }, ErrNotFound},
		{"a shorter bucket", func() error { return bucket(0, records[1:]) }, ErrMismatch},
		{"another order", func() error { return bucket(0, [][]byte{records[1], records[0], records[2]}) }, ErrMismatch},
		{"the right bucket", func() error { return bucket(0, records) }, nil},
	}
	for _, s := range steps {
		if err := s.do(); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", s.name, err, s.want)
		}
		b.check()
	}
}

// A record in a slot of its own may still replace what another journal has at its path: that waits for the end too.
func TestTransferReplacesNothingBeforeTheEnd(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	c.write(c.file("x", "one"))
	a.pull(c)
	b.pull(c)
	id := a.write(a.edit(a.file("x", "two")))[0].Journal
	if _, err := b.stageList(a, id); err != nil {
		t.Fatal(err)
	}
	must(t, b.stageBucket(a, id, 0))
	if got := b.desired("x"); got.Recipe[0] != a.recipe("one", 1)[0] {
		t.Error("replaced before the end")
	}
	must(t, b.finish(id))
	if got := b.desired("x"); got.Recipe[0] != a.recipe("two", 1)[0] {
		t.Error("not replaced at the end")
	}
	b.check()
}
