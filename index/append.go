package index

import (
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/mesh"
)

// MaxCommit is the greatest number of drafts in one Append.
const MaxCommit = 20_000

// Append records what happened on this device's disk: one commit in the own open journal. A draft is an Entry of which Append
// fills in what follows from the rest: Time (unless it is set, or Joined), Epochs, the Version, joined with that of the own record whose place it takes and pruned,
// and for files Size, Content and RecipeParts, or, where there is no Recipe, the long one that is known of the Content. It returns the records' names, in the order
// of the drafts. SetBase is the caller's. Errors:
// ErrNoJournal; ErrNoKey: there is no epoch to write under; ErrVoid: the roster does not let this device write; or that a draft is invalid.
func (tx *Tx) Append(drafts []Entry) ([]shoal.Dot, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	if len(drafts) > MaxCommit {
		return nil, fmt.Errorf("commit of %d records: %w", len(drafts), shoal.ErrInvalid)
	}
	var dots []shoal.Dot
	err := tx.change(func() (err error) {
		a, err := tx.newAppender()
		if err != nil {
			return err
		}
		for i := range drafts {
			if err := a.add(drafts[i], i+1 < len(drafts)); err != nil {
				return fmt.Errorf("record %q: %w", string(drafts[i].Path), err)
			}
		}
		dots = a.dots
		return a.finish()
	})
	return dots, err
}

// appender is one commit in the making.
type appender struct {
	tx      *Tx
	journal *journal
	epoch   mesh.Epoch
	number  uint32 // of the epoch
	seal    *sealer
	rows    *rowUpdate
	changes *journalChanges
	long    []*Entry // whose recipes are to be kept
	dots    []shoal.Dot
	now     int64
}

func (tx *Tx) newAppender() (*appender, error) {
	j, err := tx.ownJournal()
	if err != nil {
		return nil, err
	}
	if j == nil || tx.writing != j.number {
		return nil, ErrNoJournal
	}
	if err := tx.requireKeys(); err != nil {
		return nil, err
	}
	if !tx.config.Roster().MayWrite(j.id.Device, tx.folder.id) {
		return nil, fmt.Errorf("journal %s: %w", j.id, ErrVoid)
	}
	epoch, ok := tx.keys.Current()
	if !ok {
		return nil, fmt.Errorf("folder %s has no epoch to write under: %w", tx.folder.id, ErrNoKey)
	}
	number, err := tx.epochNumber(epoch.ID)
	if err != nil {
		return nil, err
	}
	return &appender{
		tx: tx, journal: j, epoch: epoch, number: number, seal: tx.sealer(epoch.ID), rows: tx.newRowUpdate(),
		changes: newJournalChanges(j), now: tx.now(),
	}, nil
}

// add makes one record. more: another one of the same commit follows.
func (a *appender) add(draft Entry, more bool) error {
	self := a.journal.dot(a.changes.seq + 1)
	if self.Seq > maxSeq {
		return fmt.Errorf("journal %s is full: %w", a.journal.id, shoal.ErrInvalid)
	}
	if err := draft.Path.Validate(); err != nil {
		return err
	}
	row, err := a.rows.edit(draft.Path)
	if err != nil {
		return err
	}
	live, err := a.rows.records(row)
	if err != nil {
		return err
	}
	e := &draft
	for _, r := range live {
		if r.Dot.Journal == a.journal.id { // it takes that one's place, and has seen what that had seen: or this would come back
			e.Version = conflict.Join(e.Version, r.Entry.Version)
		}
	}
	a.stamp(e)
	a.prune(e, self)
	if err := a.content(e, live); err != nil {
		return err
	}
	if err := e.Validate(); err != nil {
		return err
	}
	return a.put(self, e, live, row, more)
}

// stamp gives the record its time: later than all before it in this journal, whatever the clock does.
func (a *appender) stamp(e *Entry) {
	j := a.journal
	switch {
	case e.Joined:
		e.Time = 0
	case e.Time == 0:
		e.Time = max(a.now, j.lastTime+1, 1)
	}
	j.lastTime = max(j.lastTime, e.Time)
}

// prune leaves out of the version what its other components cover, and the record's own.
func (a *appender) prune(e *Entry, self shoal.Dot) {
	pruned := a.tx.Lineage().Prune(e.Version.With(self))
	e.Version = slices.DeleteFunc(slices.Clone(pruned), func(d shoal.Dot) bool { return d.Journal == self.Journal })
	if e.ContentFrom == self {
		e.ContentFrom = shoal.Dot{}
	}
	if e.ModeFrom == self {
		e.ModeFrom = shoal.Dot{}
	}
}

// content fills in what follows from a file's recipe or a symlink's target. Blocks that an earlier record of the path has keep
// their epoch, so that nothing is sealed and stored again.
func (a *appender) content(e *Entry, live []*Record) error {
	names := &a.tx.names
	e.Epochs = nil
	switch e.Kind {
	case shoal.KindSymlink:
		e.Mode, e.Content = 0, symlinkContent(names, e.Target)
	case shoal.KindFolder:
		e.MTime = 0
	case shoal.KindFile:
		if e.Recipe == nil && (e.Size > 0 || len(e.RecipeParts) > 0) {
			var known bool
			var err error
			if e.Recipe, known, err = a.tx.Recipe(e.Content); err != nil {
				return err
			}
			if !known {
				return fmt.Errorf("file of %d bytes without its recipe: %w", e.Size, shoal.ErrInvalid)
			}
		}
		e.Size, e.Content = e.Recipe.Size(), names.ContentID(e.Recipe)
		if len(e.Recipe) <= block.InlineRecipe {
			e.RecipeParts = nil
		} else if e.RecipeParts == nil {
			_, e.RecipeParts = names.SplitRecipe(e.Recipe)
		}
		if len(e.Recipe) == 0 {
			e.Recipe = nil
		}
		return a.keepEpochs(e, live)
	}
	return nil
}

func (a *appender) keepEpochs(e *Entry, live []*Record) error {
	kept := make(map[block.ID]shoal.EpochID)
	for _, r := range live {
		if r.Epoch == a.epoch.ID && r.Entry.Epochs == nil {
			continue
		}
		old := r.Entry
		if err := a.tx.fillRecipe(&old); err != nil {
			return err
		}
		if old.Recipe == nil && len(old.RecipeParts) > 0 {
			continue // its blocks are not known here
		}
		for _, ref := range old.refSet(r.Epoch) {
			if _, openable := a.tx.keys.Epoch(ref.Epoch); openable && ref.Epoch != a.epoch.ID {
				kept[ref.ID] = ref.Epoch
			}
		}
	}
	if len(kept) == 0 {
		return nil
	}
	var runs []EpochRun
	for _, list := range [...]block.Recipe{e.Recipe, e.RecipeParts} {
		for i := range list {
			epoch := kept[list[i].ID] // zero: the record's own
			if n := len(runs); n > 0 && runs[n-1].Epoch == epoch {
				runs[n-1].Count++
			} else {
				runs = append(runs, EpochRun{Epoch: epoch, Count: 1})
			}
		}
	}
	if len(runs) <= MaxEpochRuns && !(len(runs) == 1 && runs[0].Epoch == shoal.EpochID{}) {
		e.Epochs = runs
	}
	return nil
}

// put seals the record and puts it in the place of the one before it in its slot.
func (a *appender) put(self shoal.Dot, e *Entry, live []*Record, row *rowEdit, more bool) error {
	tx, at := a.tx, ref{a.journal.number, self.Seq}
	rec := &Record{Dot: self, Slot: shoal.Slot(self.Seq), Epoch: a.epoch.ID, Entry: *e}
	s := &stored{epoch: a.number, more: more}
	if len(e.RecipeParts) > 0 {
		s.root = rootOf(e, a.epoch.ID)
		a.long = append(a.long, e)
		rec.Entry.Recipe = nil
	}
	version, lin := rec.Version(), tx.Lineage()
	for i, r := range live {
		l := row.row.live[i]
		switch {
		case l.journal == at.journal:
			rec.Slot = r.Slot
		case lin.Descends(version, r.Version()):
			s.replaces = append(s.replaces, l)
		}
	}
	s.slot = rec.Slot
	if err := tx.sortRefs(s.replaces); err != nil {
		return err
	}
	s.entry = encodeEntry(e, self.Journal)
	clear, err := tx.clearOf(rec, s)
	if err != nil {
		return err
	}
	s.hash = recordHash(a.seal.seal(clear.encode(), s.entry))
	rec.Hash = s.hash
	for i, r := range live {
		if row.row.live[i].journal == at.journal {
			if err := a.changes.supersede(a.rows, row.row.live[i], r); err != nil {
				return err
			}
			break
		}
	}
	a.dots = append(a.dots, self)
	return a.changes.add(a.rows, at, s, rec)
}

// sortRefs sorts records as their dots sort, which is how they travel.
func (tx *Tx) sortRefs(refs []ref) error {
	t, err := tx.journalTable()
	slices.SortFunc(refs, func(a, b ref) int {
		return t.list[a.journal-1].dot(a.seq).Compare(t.list[b.journal-1].dot(b.seq))
	})
	return err
}

// finish writes rows, digests and the new head.
func (a *appender) finish() error {
	tx, j := a.tx, a.journal
	if _, err := a.rows.finish(); err != nil {
		return err
	}
	for _, e := range a.long {
		tx.putRecipe(e.Content, e.Recipe)
	}
	list, err := a.changes.digests(tx)
	if err != nil {
		return err
	}
	j.seq, j.count = a.changes.seq, a.changes.count
	tx.signHead(j, list)
	return nil
}

// signHead makes and keeps a new head of an own journal.
func (tx *Tx) signHead(j *journal, list []BucketDigest) {
	h := Head{
		Mesh: tx.config.Mesh, Folder: tx.folder.id, Journal: j.id, Seq: j.seq, Count: j.count, Buckets: bucketListHash(list),
		Time: max(tx.now(), j.headTime+1), Continues: j.continues, Others: tx.headRefs(j),
		Life: j.life(), Abandons: j.abandons,
	}
	j.head, j.headHash, j.headTime = h.sign(tx.config.Identity), h.Hash(), h.Time
	tx.putJournal(j)
}

// headRefs returns the heads of the other journals, sorted; the newest of them when there are too many.
func (tx *Tx) headRefs(own *journal) []HeadRef {
	var others []*journal
	for _, j := range tx.mustJournals().list {
		if j != own && j.seq > 0 {
			others = append(others, j)
		}
	}
	if len(others) > MaxHeadRefs {
		slices.SortFunc(others, func(a, b *journal) int { return int(min(max(b.headTime-a.headTime, -1), 1)) })
		others = others[:MaxHeadRefs]
	}
	refs := make([]HeadRef, len(others))
	for i, j := range others {
		refs[i] = HeadRef{Journal: j.id, Seq: j.seq, Hash: j.headHash}
	}
	slices.SortFunc(refs, func(a, b HeadRef) int { return a.Journal.Compare(b.Journal) })
	return refs
}

// Resign signs the head of the own open journal again, with the present time. A running device does so daily. Errors: ErrNoJournal.
func (tx *Tx) Resign() error {
	if !tx.writable {
		return ErrReadOnly
	}
	j, err := tx.ownJournal()
	if err != nil {
		return err
	}
	if j == nil || tx.writing != j.number {
		return ErrNoJournal
	}
	if j.seq == 0 {
		return nil
	}
	list, err := tx.bucketList(j)
	if err == nil {
		tx.signHead(j, list)
	}
	return err
}
