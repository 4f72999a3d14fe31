package conflict

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

// history is one path as several honest devices write it, each seeing the others' records late, never, or in any order. It
// keeps books about every content: who saw it and put something else in its place, and where it went.
type history struct {
	devices []*writer
	records []Sibling // all of them, of all devices
	lineage Lineage
	clock   int64
	next    byte // next free journal letter

	written map[[32]byte]bool // every file content that an application saved at the path
	let     map[[32]byte]bool // contents that somebody's disk showed and that he replaced, deleted or resolved against
	kept    map[[32]byte]bool // losers that became ordinary files of their own when their conflict was settled
}

// writer is one device. What its disk shows is onDisk, which lags behind known, what has arrived.
type writer struct {
	journal shoal.JournalID
	seq     shoal.Seq
	own     []shoal.JournalID // this journal and those that it continues
	known   map[shoal.Dot]Sibling
	onDisk  Resolution
	image   *writer // to be restored from; nil: none was taken
}

func newHistory(devices int) *history {
	h := &history{lineage: Lineage{}, next: 'A', written: map[[32]byte]bool{}, let: map[[32]byte]bool{}, kept: map[[32]byte]bool{}}
	for range devices {
		w := &writer{known: map[shoal.Dot]Sibling{}}
		h.openJournal(w)
		h.devices = append(h.devices, w)
	}
	return h
}

func (h *history) openJournal(w *writer) {
	if w.seq > 0 {
		h.lineage[journal(h.next)] = shoal.Dot{Journal: w.journal, Seq: w.seq}
	}
	w.journal, w.seq = journal(h.next), 0
	w.own = append(slices.Clone(w.own), w.journal)
	h.next++
}

func (w *writer) clone() *writer {
	c := *w
	c.known, c.own = maps.Clone(w.known), slices.Clone(w.own)
	return &c
}

// resolve is what the device's index says.
func (h *history) resolve(w *writer) Resolution {
	return Resolve(slices.Collect(maps.Values(w.known)), h.lineage, false)
}

// commit gives s the device's next dot and a version: what the disk shows, with all losers on it, which the change settles, and
// this device's own last record, whose place the new one takes in its journal.
func (h *history) commit(w *writer, s Sibling) {
	w.seq++
	h.clock++
	s.Record, s.Time = shoal.Dot{Journal: w.journal, Seq: w.seq}, h.clock
	s.Version = w.onDisk.Absence
	if w.onDisk.Winner != nil {
		s.Version = w.onDisk.Winner.Version
	}
	for _, l := range w.onDisk.Losers {
		s.Version = Join(s.Version, l.Version)
	}
	for d, r := range w.known {
		if d.Journal == w.journal {
			s.Version = Join(s.Version, r.Version)
		}
	}
	s.Version = h.lineage.Prune(s.Version.With(s.Record))
	h.records = append(h.records, s)
	w.known[s.Record] = s
	w.onDisk = Resolve([]Sibling{s}, h.lineage, false)
	if s.ContentFrom.IsZero() && s.Kind == shoal.KindFile {
		h.written[s.Content] = true
	}
}

// keepLosers says that the losers on disk become ordinary files elsewhere.
func (h *history) keepLosers(w *writer) {
	for _, l := range w.onDisk.Losers {
		h.kept[l.Content] = true
	}
}

// replaced returns the content on disk, which its reader is about to replace.
func (h *history) replaced(w *writer) [32]byte {
	if w.onDisk.Winner == nil {
		return [32]byte{}
	}
	h.let[w.onDisk.Winner.Content] = true
	return w.onDisk.Winner.Content
}

func (h *history) save(w *writer, text string) {
	if s := w.onDisk.Winner; s != nil && s.Kind == shoal.KindFile && s.Content == content(text) {
		return // no change of content
	}
	h.keepLosers(w)
	s := Sibling{Kind: shoal.KindFile, Content: content(text), Replaced: h.replaced(w), Mode: 0o644, MTime: h.clock}
	if on := w.onDisk.Winner; on != nil && on.Kind == shoal.KindFile {
		s.Mode, s.ModeFrom = on.Mode, on.ModeFrom
	}
	h.commit(w, s)
}

func (h *history) remove(w *writer) {
	h.keepLosers(w)
	h.commit(w, Sibling{Kind: shoal.KindTombstone, Replaced: h.replaced(w)})
}

// keep records the shown thing s, unchanged but for a new mode or mtime, as the only one.
func (h *history) keep(w *writer, s *Shown, bits uint32) {
	k := Sibling{
		Kind: s.Kind, Content: s.Content, ContentFrom: s.ContentFrom, Replaced: s.Replaced,
		Mode: s.Mode, ModeFrom: s.ModeFrom, MTime: h.clock,
	}
	if bits != s.Mode {
		k.Mode, k.ModeFrom = bits, shoal.Dot{}
	}
	h.commit(w, k)
}

// actions are what may happen to a path. Each draws its device; those that make no sense at the moment are skipped.
func (h *history) actions() map[string]func(*rapid.T) {
	device := func(t *rapid.T) *writer { return h.devices[rapid.IntRange(0, len(h.devices)-1).Draw(t, "device")] }
	holder := func(t *rapid.T) *writer {
		w := device(t)
		if w.onDisk.Winner == nil {
			t.Skip("nothing on disk")
		}
		return w
	}
	receive := func(t *rapid.T) {
		w := device(t)
		missing := slices.DeleteFunc(slices.Clone(h.records), func(s Sibling) bool { _, ok := w.known[s.Record]; return ok })
		if len(missing) == 0 {
			t.Skip("knows all")
		}
		s := rapid.SampledFrom(missing).Draw(t, "record")
		w.known[s.Record] = s
	}
	apply := func(t *rapid.T) { w := device(t); w.onDisk = h.resolve(w) }
	return map[string]func(*rapid.T){
		"save something new": func(t *rapid.T) {
			w := device(t)
			h.save(w, fmt.Sprintf("text %d", len(h.records)))
		},
		"save something old": func(t *rapid.T) {
			w := device(t)
			h.save(w, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text"))
		},
		"delete": func(t *rapid.T) { h.remove(holder(t)) },
		"mkdir": func(t *rapid.T) {
			if w := device(t); w.onDisk.Winner == nil {
				h.commit(w, Sibling{Kind: shoal.KindFolder, Mode: 0o755})
			}
		},
		"chmod": func(t *rapid.T) {
			w := holder(t)
			h.keepLosers(w)
			h.keep(w, w.onDisk.Winner, uint32(rapid.IntRange(0o600, 0o607).Draw(t, "mode")))
		},
		"touch": func(t *rapid.T) {
			w := holder(t)
			h.keepLosers(w)
			h.keep(w, w.onDisk.Winner, w.onDisk.Winner.Mode)
		},
		"resolve": func(t *rapid.T) {
			w := holder(t)
			all := append([]Shown{*w.onDisk.Winner}, w.onDisk.Losers...)
			chosen := rapid.IntRange(0, len(all)-1).Draw(t, "chosen")
			for i, s := range all {
				if i != chosen {
					h.let[s.Content] = true
				}
			}
			h.keep(w, &all[chosen], all[chosen].Mode)
		},
		"receive": receive, "receive more": receive, "receive still more": receive,
		"apply": apply, "apply again": apply,
		"take an image": func(t *rapid.T) { w := device(t); w.image = w.clone() },
		"restore the image": func(t *rapid.T) {
			i := rapid.IntRange(0, len(h.devices)-1).Draw(t, "device")
			if h.devices[i].image == nil || h.next > 'Z' {
				t.Skip("no image")
			}
			h.devices[i] = h.devices[i].image.clone()
			h.openJournal(h.devices[i])
		},
	}
}

// shows tells whether content c stands at the path or beside it.
func (r Resolution) shows(c [32]byte) bool {
	return r.Winner != nil && r.Winner.Content == c || slices.ContainsFunc(r.Losers, func(s Shown) bool { return s.Content == c })
}

func TestNothingDisappearsThatNobodyHadSeenAndReplaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(rapid.IntRange(2, 4).Draw(t, "devices"))
		actions := h.actions()
		actions[""] = func(t *rapid.T) {
			r := Resolve(h.records, h.lineage, false)
			for c := range h.written {
				if !r.shows(c) && !h.kept[c] && !h.let[c] {
					t.Fatalf("%q is gone: %s", contentText(c), sayAll(r))
				}
			}
		}
		t.Repeat(actions)
	})
}

// The next two laws are about contents that are all different. With equal ones a content may come up again as a needless copy
// when the deletion to which it had yielded gives way to something else; nothing is lost by that.

func TestADeviceThatSawAllSettlesAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(3)
		actions := h.actions()
		delete(actions, "save something old")
		t.Repeat(actions)
		w := h.devices[0]
		for _, s := range h.records {
			w.known[s.Record] = s
		}
		w.onDisk = h.resolve(w)
		h.save(w, "the end")
		if r := Resolve(h.records, h.lineage, false); say(r.Winner) != say(w.onDisk.Winner) || len(r.Losers) > 0 {
			t.Fatalf("%s, though all was seen", sayAll(r))
		}
	})
}

func TestADeletionOfWhatWasShownLosesOnlyToUnseenContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(3)
		actions := h.actions()
		delete(actions, "save something old")
		t.Repeat(actions)
		w := h.devices[0]
		w.onDisk = h.resolve(w)
		if w.onDisk.Winner == nil {
			t.Skip("nothing to delete")
		}
		seen := maps.Clone(w.known)
		h.remove(w)
		r := Resolve(h.records, h.lineage, false)
		for _, s := range h.records {
			_, known := seen[s.Record]
			if r.Winner != nil && r.Winner.Kind == shoal.KindFile && s.Record == r.Winner.ContentFrom && known {
				t.Fatalf("%s outlives its deletion", say(r.Winner))
			}
		}
	})
}
