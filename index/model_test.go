package index

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// The model: every record that was ever made, by journal. What a device should show follows from the newest record of each
// slot up to its frontier, computed here from nothing, without rows.
type model struct {
	records map[shoal.JournalID][]Record
}

// live returns the records that count at a frontier, by path.
func (m *model) live(frontier map[shoal.JournalID]JournalPos) map[shoal.Path][]*Record {
	out := make(map[shoal.Path][]*Record)
	for id, pos := range frontier {
		newest := make(map[shoal.Slot]*Record)
		for i, r := range m.records[id] {
			if r.Dot.Seq <= pos.Seq {
				newest[r.Slot] = &m.records[id][i]
			}
		}
		for _, r := range newest {
			out[r.Entry.Path] = append(out[r.Entry.Path], r)
		}
	}
	return out
}

// picture is what a device should show.
type picture struct {
	res    map[shoal.Path]conflict.Resolution
	recs   map[shoal.Path][]*Record
	kids   map[shoal.Path]int
	copies map[shoal.Path]copyAt // by the path of the copy
}

type copyAt struct {
	of    shoal.Path
	loser int
}

func paint(d *device, recs map[shoal.Path][]*Record, lin conflict.Lineage) *picture {
	pic := &picture{
		res: map[shoal.Path]conflict.Resolution{}, recs: recs, kids: map[shoal.Path]int{}, copies: map[shoal.Path]copyAt{},
	}
	paths := map[shoal.Path]bool{}
	for p := range recs {
		for ; p != ""; p = p.Parent() {
			paths[p] = true
		}
	}
	deepest := slices.SortedFunc(maps.Keys(paths), func(a, b shoal.Path) int {
		return cmp.Or(strings.Count(string(b), "/")-strings.Count(string(a), "/"), cmp.Compare(a, b))
	})
	for _, p := range deepest {
		pic.res[p] = resolve(recs[p], lin, pic.kids[p] > 0)
		if pic.res[p].Winner != nil {
			pic.kids[p.Parent()]++
		}
	}
	for _, p := range deepest {
		pic.nameCopies(d, p)
	}
	return pic
}

func (pic *picture) nameCopies(d *device, p shoal.Path) {
	keys := block.Keys{Chunker: d.keys.Chunker, BlockID: d.keys.BlockID}
	given := map[string]bool{}
	for i, l := range pic.res[p].Losers {
		dev, _ := d.state.Device(l.Record.Journal.Device)
		var version []byte
		for _, dot := range l.Version {
			version = append(version, dot.Journal.Bytes()...)
			for shift := 56; shift >= 0; shift -= 8 {
				version = append(version, byte(dot.Seq>>shift))
			}
		}
		at := l.Time
		if at == 0 {
			at = l.MTime
		}
		name := conflict.CopyName(p.Name(), dev.AdmittedAs, time.Unix(0, at).UTC(),
			keys.Digest("conflict-name", []byte(p), version, l.Content[:]), func(n string) bool {
				return given[n] || pic.res[p.Parent().Join(n)].Winner != nil
			})
		given[name] = true
		pic.copies[p.Parent().Join(name)] = copyAt{p, i}
	}
}

// at is what should be at a path.
func (pic *picture) at(p shoal.Path) *State {
	if w := pic.res[p].Winner; w != nil {
		return stateOf(w, pic.recs[p])
	}
	c, ok := pic.copies[p]
	if !ok {
		return nil
	}
	l := pic.res[c.of].Losers[c.loser]
	s := stateOf(&l, pic.recs[c.of])
	s.Copy = &CopyOf{Of: c.of, Record: l.Record}
	return s
}

func (pic *picture) paths() []shoal.Path {
	paths := keysOf(pic.res)
	maps.Copy(paths, keysOf(pic.copies))
	return slices.SortedFunc(maps.Keys(paths), shoal.ComparePaths)
}

// compare holds what a device says against the model.
func (m *model) compare(t failer, d *device) *picture {
	var pic *picture
	err := d.f.View(func(tx *Tx) error {
		pic = paint(d, m.live(tx.Frontier()), tx.Lineage())
		var needs, conflicts []shoal.Path
		for _, p := range pic.paths() {
			want := pic.at(p)
			got, err := tx.Desired(p)
			if err != nil {
				return err
			}
			if !sameState(got, want) {
				t.Fatalf("%s at %q:\n got %+v\nwant %+v", d.id.Device().Short(), string(p), got, want)
			}
			row, _, err := tx.Row(p)
			if err != nil {
				return err
			}
			if row.Kids != pic.kids[p] || len(row.Live) != len(pic.recs[p]) {
				t.Fatalf("%q has %d kids, %d records; want %d, %d", string(p), row.Kids, len(row.Live), pic.kids[p], len(pic.recs[p]))
			}
			if row.Base.Differs(want) {
				needs = append(needs, p)
			}
			if len(pic.res[p].Losers) > 0 {
				conflicts = append(conflicts, p)
			}
		}
		return m.compareSets(t, tx, pic, needs, conflicts)
	})
	if err != nil {
		t.Fatalf("view: %v", err)
	}
	return pic
}

func (m *model) compareSets(t failer, tx *Tx, pic *picture, needs, conflicts []shoal.Path) error {
	err := tx.Walk("", func(r Row) error {
		if pic.at(r.Path) == nil && r.Base != nil && !slices.Contains(needs, r.Path) {
			needs = append(needs, r.Path) // to be deleted
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(needs, shoal.ComparePaths)
	if got, err := tx.Needs("", 1000); err != nil || !slices.Equal(got, needs) {
		t.Fatalf("needs %q, want %q (%v)", got, needs, err)
	}
	if got, err := tx.Conflicts("", 1000); err != nil || !slices.Equal(got, conflicts) {
		t.Fatalf("conflicts %q, want %q (%v)", got, conflicts, err)
	}
	return nil
}

func sameState(a, b *State) bool {
	if a == nil || b == nil {
		return a == b
	}
	return fmt.Sprintf("%+v", flat(a)) == fmt.Sprintf("%+v", flat(b))
}

// flat makes a state printable by value.
func flat(s *State) any {
	c := CopyOf{}
	if s.Copy != nil {
		c = *s.Copy
	}
	t := *s
	t.Copy = nil
	if len(t.Recipe) > block.InlineRecipe { // the model has it from the draft, the device perhaps not yet
		t.Recipe = nil
	}
	return struct {
		State
		Of CopyOf
	}{t, c}
}

// failer is what *testing.T and *rapid.T have in common here.
type failer interface{ Fatalf(string, ...any) }

func keysOf[V any](m map[shoal.Path]V) map[shoal.Path]bool {
	out := make(map[shoal.Path]bool, len(m))
	for p := range m {
		out[p] = true
	}
	return out
}
