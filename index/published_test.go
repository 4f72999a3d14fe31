package index

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
)

// What servers of others could do to their users' files is tried here on records; docs/threat-model.md lists the rest.

// A vault that even got hold of the folder's keys adds a file: it is no writer, so its journals count for nothing anywhere.
func TestAVaultCannotAddAFileEvenWithTheKeys(t *testing.T) {
	w := newWorld(t, "a", "b")
	v := keeperOf(t, w)
	a, b := w.devices[0], w.devices[1]
	v.keys = a.keys
	s := newScribe(v, 1)
	s.write(a.file("planted", "evidence"), 0)
	if _, err := b.accept(s.batch(0)); !errors.Is(err, ErrVoid) {
		t.Errorf("error: %v", err)
	}
	if b.desired("planted") != nil {
		t.Error("the file is there")
	}
}

// A vault puts a record under another seq, and one journal's record into another: names, order and places of files would change.
func TestRecordsCannotBeMovedSwappedOrLeftOut(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	dots := a.write(a.file("one", "1"), a.file("two", "2"), a.file("three", "3"))
	j := dots[0].Journal
	whole := a.batch(j, 0)
	other := b.batch(b.write(b.file("first", "x"), b.file("b's", "y"))[1].Journal, 1).Records[0]
	for name, records := range map[string][][]byte{
		"swapped":       {whole.Records[1], whole.Records[0], whole.Records[2]},
		"one twice":     {whole.Records[0], whole.Records[0], whole.Records[2]},
		"one left out":  {whole.Records[0], whole.Records[2]},
		"the last gone": whole.Records[:2],
		"of another":    {whole.Records[0], other, whole.Records[2]},
	} {
		c := fresh(w)
		bad := whole
		bad.Records = records
		if _, err := c.accept(bad); err == nil {
			t.Errorf("%s: taken in", name)
		}
		for _, p := range []shoal.Path{"one", "two", "three", "b's"} {
			if c.desired(p) != nil {
				t.Errorf("%s: %s is there", name, p)
			}
		}
	}
}

// fresh is the second device with an empty database.
func fresh(w *world) *device {
	c := *w.devices[1]
	c.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance}))
	return &c
}
