package index

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

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
	switch rapid.IntRange(0, 11).Draw(s.T, "step") {
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
	case 11:
		s.revoke()
	}
	if err := d.db.Check(s.Context()); err != nil {
		s.Fatalf("check: %v", err)
	}
	if !s.staging[d] && !s.waits(d) {
		s.m.compare(s, d)
	}
}

// waits tells whether a path stays as it is on d's disk because a record that had been replaced by one that a revocation made void is awaited. The model knows
// no waiting.
func (s *simulation) waits(d *device) bool {
	waiting := false
	d.view(func(tx *Tx) error {
		k, _ := tx.bucket(bHolds).Cursor().Seek(nil)
		waiting = k != nil
		return nil
	})
	return waiting
}

// revoke ends the membership of the last device: what the owner has of its journals counts, nothing else. It happens once, and
// the revoked device takes part no more.
func (s *simulation) revoke() {
	last := len(s.w.devices) - 1
	if last < 2 || rapid.IntRange(0, 3).Draw(s.T, "revoke") > 0 {
		return
	}
	must(s.w.t, s.w.devices[0].db.Sync()) // the owner keeps what it says that counts
	s.w.revoke(s.w.devices[last], s.w.devices[0])
	s.w.devices = s.w.devices[:last]
	for _, d := range s.w.devices {
		d.update(func(tx *Tx) error { return second(tx.ApplyCuts()) })
		must(s.w.t, d.db.Sync())
		s.staging[d] = s.isStaging(d)
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
