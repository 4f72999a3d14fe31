package index

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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

// simulation is devices that write and exchange in random order.
type simulation struct {
	*rapid.T
	w       *world
	m       *model
	staging map[*device]bool
}

var simPaths = []shoal.Path{"a", "b", "a/x", "a/y", "a/x/z", "b/x", "c.txt"}

func TestDevicesAgreeWithTheModelAndEachOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &simulation{T: rt, w: newWorld(t, "ann", "bob", "cleo"), m: &model{records: map[shoal.JournalID][]Record{}}, staging: map[*device]bool{}}
		for _, d := range s.w.devices {
			d.open(OpenMemory(Options{Clock: s.w.clock, Rand: s.w.chance, LoseUnsynced: true}))
		}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			s.step()
		}
		s.settle()
	})
}

func (s *simulation) device(label string) *device {
	return s.w.devices[rapid.IntRange(0, len(s.w.devices)-1).Draw(s.T, label)]
}

func (s *simulation) step() {
	d := s.device("device")
	s.w.now = s.w.now.Add(time.Duration(rapid.IntRange(-2, 5).Draw(s.T, "clock")) * time.Second)
	switch rapid.IntRange(0, 10).Draw(s.T, "step") {
	case 0, 1, 2:
		s.write(d)
	case 3, 4:
		s.pull(d, s.device("from"))
	case 5:
		s.stage(d, s.device("from"))
	case 6, 7:
		s.apply(d)
	case 8:
		must(s.w.t, d.db.Sync())
	case 9:
		d.open(d.db.Crash())
		s.staging[d] = s.isStaging(d)
	case 10:
		s.settleConflict(d)
	}
	if err := d.db.Check(s.Context()); err != nil {
		s.Fatalf("check: %v", err)
	}
	if !s.staging[d] {
		s.m.compare(s, d)
	}
}

func (s *simulation) isStaging(d *device) bool {
	staged := false
	d.view(func(tx *Tx) error {
		k, _ := tx.bucket(bStage).Cursor().Seek(nil)
		staged = k != nil
		return nil
	})
	return staged
}

// write records a commit of what a person did to the disk, which shows the bases.
func (s *simulation) write(d *device) {
	var drafts []Entry
	paths := rapid.SliceOfNDistinct(rapid.SampledFrom(simPaths), 1, 3, rapid.ID[shoal.Path]).Draw(s.T, "paths")
	for _, p := range paths {
		d.view(func(tx *Tx) error {
			base, err := tx.Base(p)
			if err == nil {
				drafts = append(drafts, s.draft(d, p, base))
			}
			return err
		})
	}
	s.append(d, drafts)
}

func (s *simulation) draft(d *device, p shoal.Path, base *Base) Entry {
	e := Entry{Path: p, Joined: rapid.IntRange(0, 7).Draw(s.T, "joined") == 0}
	if base != nil {
		e.Version, e.Replaced = base.Version, base.Content
	}
	content := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(s.T, "content")
	switch what := rapid.IntRange(0, 9).Draw(s.T, "what"); {
	case what < 4 || (what >= 7 && base == nil):
		f := d.file(p, content)
		e.Kind, e.Mode, e.MTime, e.Recipe = f.Kind, f.Mode, f.MTime, f.Recipe
		if content == "three" {
			e.Recipe = d.recipe("three", block.InlineRecipe+6)
		}
	case what == 4:
		e.Kind, e.Mode = shoal.KindFolder, 0o755
	case what == 5:
		e.Kind, e.Target = shoal.KindSymlink, content
	case what == 6 || base.Kind != shoal.KindFile:
		e.Kind = shoal.KindTombstone
		if rapid.Bool().Draw(s.T, "moved") {
			e.MovedTo = "moved/to"
		}
	default: // chmod
		e.Kind, e.Mode, e.MTime, e.Recipe = base.Kind, base.Mode^0o111, base.MTime, base.Recipe
		e.ContentFrom, e.Replaced = base.ContentFrom, block.ContentID{}
		if base.Size > 0 && base.Recipe == nil {
			e.Recipe = d.recipe("three", block.InlineRecipe+6)
		}
	}
	return e
}

// append records drafts and sets the bases of what is then shown.
func (s *simulation) append(d *device, drafts []Entry) {
	d.update(func(tx *Tx) error {
		if _, open := tx.Own(); !open {
			if err := tx.OpenJournal(); err != nil {
				return err
			}
		}
		dots, err := tx.Append(drafts)
		if err != nil {
			return err
		}
		for i, dot := range dots {
			rec, ok, err := tx.Record(dot)
			if err != nil || !ok {
				return fmt.Errorf("own record is not there: %w", err)
			}
			s.m.records[dot.Journal] = append(s.m.records[dot.Journal], rec)
			now, err := tx.Desired(drafts[i].Path)
			if err != nil {
				return err
			}
			if now == nil || now.Record == dot {
				if err := d.applyOne(tx, drafts[i].Path); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (s *simulation) apply(d *device) {
	d.update(func(tx *Tx) error {
		paths, err := tx.Needs("", 100)
		if err != nil {
			return err
		}
		for _, p := range paths {
			if rapid.IntRange(0, 3).Draw(s.T, "apply") > 0 {
				if err := d.applyOne(tx, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// settleConflict keeps the winner and makes the losers ordinary files, as a person's edit would.
func (s *simulation) settleConflict(d *device) {
	var drafts []Entry
	d.view(func(tx *Tx) error {
		paths, err := tx.Conflicts("", 1)
		if err != nil || len(paths) == 0 {
			return err
		}
		p := paths[0]
		row, _, err := tx.Row(p)
		if err != nil || len(row.Copies) == 0 {
			return err
		}
		res, err := tx.Resolution(p)
		if err != nil || res.Winner == nil || res.Winner.Kind != shoal.KindFile {
			return err
		}
		e := d.file(p, "settled")
		e.Version = res.Winner.Version
		for i := range res.Losers {
			e.Version = conflict.Join(e.Version, res.Losers[i].Version)
		}
		drafts = append(drafts, d.file(row.Copies[0], "one"), e)
		return nil
	})
	if len(drafts) > 0 {
		s.append(d, drafts)
	}
}

func (s *simulation) pull(d, from *device) {
	for id, pos := range from.frontier() {
		if own, open := s.own(d); open && id == own {
			continue
		}
		if pos.Seq > 0 && rapid.IntRange(0, 3).Draw(s.T, "skip") > 0 {
			d.pullJournal(from, id, pos)
		}
	}
	s.staging[d] = s.isStaging(d)
}

func (s *simulation) own(d *device) (id shoal.JournalID, open bool) {
	d.view(func(tx *Tx) error {
		id, open = tx.Own()
		return nil
	})
	return id, open
}

// stage runs some of a transfer by buckets; what is left is gone on with, or dropped, by a later step.
func (s *simulation) stage(d, from *device) {
	var ids []shoal.JournalID
	own, open := s.own(d)
	for id, pos := range from.frontier() {
		if pos.Seq > d.frontier()[id].Seq && !(open && id == own) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	must(s.w.t, from.db.Sync()) // what is staged in part must not be lost, or nobody could ever complete it
	slices.SortFunc(ids, shoal.JournalID.Compare)
	id := rapid.SampledFrom(ids).Draw(s.T, "journal")
	var missing []uint64
	err := d.f.Update(s.Context(), func(tx *Tx) (err error) {
		var list []BucketDigest
		var head []byte
		from.view(func(tx *Tx) (err error) {
			list, head, err = tx.Digests(id)
			return err
		})
		missing, err = tx.Stage(id, head, list)
		return err
	})
	if err != nil { // an older head than that of the transfer under way
		return
	}
	s.staging[d] = true
	for _, n := range missing {
		if rapid.IntRange(0, 3).Draw(s.T, "bucket") == 0 {
			return
		}
		var records [][]byte
		from.view(func(tx *Tx) (err error) {
			records, err = tx.Bucket(id, n)
			return err
		})
		d.update(func(tx *Tx) error {
			_, err := tx.StageBucket(id, n, records)
			return err
		})
	}
	if rapid.IntRange(0, 3).Draw(s.T, "finish") > 0 {
		d.update(func(tx *Tx) error {
			_, err := tx.FinishStage(id)
			return err
		})
		s.staging[d] = s.isStaging(d)
	}
}

// settle exchanges everything and requires that all devices show the same.
func (s *simulation) settle() {
	for range s.w.devices {
		for _, d := range s.w.devices {
			for _, from := range s.w.devices {
				if d != from {
					d.pull(from)
				}
			}
		}
	}
	var first *picture
	for _, d := range s.w.devices {
		d.apply()
		if err := d.db.Check(s.Context()); err != nil {
			s.Fatalf("check: %v", err)
		}
		pic := s.m.compare(s, d)
		if first == nil {
			first = pic
		}
		if got, want := pic.paths(), first.paths(); !slices.Equal(got, want) {
			s.Fatalf("paths %q and %q", got, want)
		}
		for _, p := range pic.paths() {
			if !sameState(pic.at(p), first.at(p)) {
				s.Fatalf("%q differs", string(p))
			}
		}
		d.view(func(tx *Tx) error {
			if n, bytes := tx.NeedTotals(); n != 0 || bytes != 0 {
				s.Fatalf("after applying all: %d paths, %d bytes are owed", n, bytes)
			}
			return nil
		})
	}
}
