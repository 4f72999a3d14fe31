package folder

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// drafts gathers the records of one commit.
type drafts struct {
	e      *Engine
	tx     *index.Tx
	moved  map[shoal.Path]shoal.Path // old name → new name
	sights map[shoal.Path]*sight     // what the group is about
	keeps  []draft                   // records that bring or keep content
	hides  []draft                   // records that take content from a name: they come last in a commit
}

// draft is a record to be and the base that goes with it.
type draft struct {
	entry index.Entry
	base  *index.Base // without version and provenance, which follow from the entry
}

// add turns one sight into drafts, or only into a new base when the disk shows what the index would put there.
func (d *drafts) add(s *sight) error {
	want, err := d.tx.Desired(s.path)
	if err != nil {
		return err
	}
	if s.gone() {
		return d.addGone(s, want)
	}
	d.e.watchWeak(s)
	if done, err := d.adopt(s, want); done || err != nil {
		return err
	}
	at, q, err := d.replacedWhatFollows(s, want)
	if err != nil {
		return err
	}
	if at != nil {
		return d.goAfter(s, at, q)
	}
	d.keeps = append(d.keeps, draft{entry: d.entry(s, want), base: d.newBase(s)})
	if s.stat.Kind == shoal.KindFolder && !onDisk(s.base) && want != nil && want.Kind == shoal.KindFolder {
		return nil // it stands there for what is in it: nobody chose between it and what moved aside
	}
	return d.settleAround(s.path, s.base)
}

// adopt gives what is no change of a user a base that says so, and nothing else; it tells whether s is that.
func (d *drafts) adopt(s *sight, want *index.State) (bool, error) {
	if s.asBefore() {
		nb := *s.base
		nb.Stat, nb.MTime = statOfSight(s), mtimeOf(s)
		return true, d.setBase(s.path, &nb)
	}
	if d.isWanted(s, want) {
		b := index.BaseOf(want, statOfSight(s))
		b.Mode, b.MTime, b.Recipe = modeOf(s), mtimeOf(s), s.recipe
		return true, d.setBase(s.path, b)
	}
	return false, nil
}

// asBefore tells whether s shows what was there before, for all that a user may have done.
func (s *sight) asBefore() bool {
	b := s.base
	if !onDisk(b) || b.Kind != s.stat.Kind || b.Content != s.content {
		return false
	}
	if b.Copy != nil && s.from != "" {
		return false // another file was put in the copy's place, by one who wants it there, even if the two are equal
	}
	if b.Kind == shoal.KindSymlink {
		return true // nobody edits the time of a symlink, but a power cut may lose it, since no fsync reaches it: it is set again
	}
	return b.Mode == modeOf(s) && b.MTime == mtimeOf(s)
}

// touches tells whether the group changes something at p, and not only finds what was there or is wanted there.
func (d *drafts) touches(p shoal.Path) (bool, error) {
	s := d.sights[p]
	switch {
	case s == nil:
		return false, nil
	case s.gone():
		return true, nil
	case s.asBefore():
		return false, nil
	}
	want, err := d.tx.Desired(p)
	return err == nil && !d.isWanted(s, want), err
}

// modeOf returns the permission bits that s has as state; a symlink has none. Where the disk reports what it reported before, that is what was
// asked of it, whatever it made of that.
func modeOf(s *sight) uint32 {
	if s.stat.Kind == shoal.KindSymlink {
		return 0
	}
	if b := s.before(); b != nil && b.Stat.Mode == s.stat.Mode {
		return b.Mode
	}
	return s.stat.Mode
}

// mtimeOf returns the modification time that s has as state; a folder has none. As modeOf.
func mtimeOf(s *sight) int64 {
	if s.stat.Kind == shoal.KindFolder {
		return 0
	}
	if b := s.before(); b != nil && b.Stat.MTime == s.stat.MTime {
		return b.MTime
	}
	return s.stat.MTime
}

// before is what was known of the same thing until now; nil when it is new.
func (s *sight) before() *index.Base {
	for _, b := range []*index.Base{s.base, s.fromBase} {
		if onDisk(b) && b.Kind == s.stat.Kind {
			return b
		}
	}
	return nil
}

// isWanted tells whether s is the content that the index wants at its path and the base does not have: then its version is adopted and
// nothing is recorded. A folder that lives only through its children has no record, so a real one is recorded.
func (d *drafts) isWanted(s *sight, want *index.State) bool {
	if want == nil || want.Kind != s.stat.Kind || want.Content != s.content {
		return false
	}
	if s.stat.Kind == shoal.KindFolder && want.Record.IsZero() {
		return false
	}
	if !onDisk(s.base) {
		return true
	}
	// What the user replaced must be something that the wanted version has seen. Otherwise this is an answer to a conflict, and is recorded.
	return (s.base.Kind != s.stat.Kind || s.base.Content != s.content) && d.tx.Lineage().Descends(want.Version, s.base.Version)
}

// entry builds the record of something new or changed. Its version is the base's: what the disk showed when the user acted.
func (d *drafts) entry(s *sight, want *index.State) index.Entry {
	en := index.Entry{
		Path: s.path, Kind: s.stat.Kind, Mode: modeOf(s), MTime: mtimeOf(s), Target: s.target, Size: s.size,
		Content: block.ContentID(s.content), Recipe: s.recipe,
		Carried: s.broughtAlong(),
	}
	if s.stat.Kind == shoal.KindFolder {
		en.Carried = false
	}
	if len(s.recipe) > block.InlineRecipe {
		_, en.RecipeParts = d.e.Keys.SplitRecipe(s.recipe)
	}
	if b := s.base; b != nil && b.Copy == nil {
		en.Version = b.Version
		same := b.Kind == s.stat.Kind
		if same && b.Content == en.Content {
			en.ContentFrom, en.Replaced = b.ContentFrom, d.replacedBy(b)
		} else if (b.Kind == shoal.KindFile || b.Kind == shoal.KindSymlink) && !s.another {
			en.Replaced = b.Content
		}
		if same && b.Mode == en.Mode {
			en.ModeFrom = b.ModeFrom
		}
	} else if d.e.adopting && want != nil {
		en.Joined = true
	}
	if c := s.fromBase; s.broughtAlong() && c.Copy != nil && c.Copy.Of == s.path {
		// The copy was put in the file's place: an answer to the conflict, whatever has become of that meanwhile.
		en.Version, en.ContentFrom, en.Replaced = conflict.Join(en.Version, c.Version), c.ContentFrom, block.ContentID{}
	}
	return en
}

// setBase says what the disk shows at p. A content that is on its way there may have come with that.
func (d *drafts) setBase(p shoal.Path, b *index.Base) error {
	d.e.overtaken = d.e.overtaken || d.e.jobs[p] != nil
	return d.tx.SetBase(p, b)
}

// broughtAlong tells whether s came here by a rename, with the content that it had.
func (s *sight) broughtAlong() bool {
	return s.from != "" && s.fromBase != nil && s.content == s.fromBase.Content
}

// replacedBy returns the content that b's replaced: a record that only touches what is there says it again.
func (d *drafts) replacedBy(b *index.Base) block.ContentID {
	if r, ok, err := d.tx.Record(b.Record); err == nil && ok && r.Entry.Content == b.Content {
		return r.Entry.Replaced
	}
	return block.ContentID{}
}

func (d *drafts) newBase(s *sight) *index.Base {
	return &index.Base{
		Kind: s.stat.Kind, Mode: modeOf(s), MTime: mtimeOf(s), Size: s.size, Content: block.ContentID(s.content),
		Target: s.target, Recipe: s.recipe, Stat: statOfSight(s),
	}
}

// addGone records a deletion, unless nothing is wanted there any more anyway. A conflict copy that was deleted settles its conflict.
func (d *drafts) addGone(s *sight, want *index.State) error {
	if s.base.Copy != nil {
		if err := d.settleAround(s.path, s.base); err != nil {
			return err
		}
		return d.setBase(s.path, nil)
	}
	if want == nil {
		if err := d.deleteAfter(s); err != nil {
			return err
		}
		v, err := d.e.goneVersion(d.tx, s.path)
		if err != nil {
			return err
		}
		return d.setBase(s.path, goneBase(conflict.Join(s.base.Version, v)))
	}
	en := index.Entry{Path: s.path, Kind: shoal.KindTombstone, Version: s.base.Version, MovedTo: d.moved[s.path]}
	if s.base.Kind != shoal.KindFolder {
		en.Replaced = s.base.Content
		if en.MovedTo != "" {
			en.ContentFrom = s.base.ContentFrom
		}
	}
	d.hides = append(d.hides, draft{entry: en, base: &index.Base{Kind: shoal.KindTombstone}})
	return d.settleAround(s.path, s.base)
}

// goneVersion is the version that an empty place shows.
func (e *Engine) goneVersion(tx *index.Tx, p shoal.Path) (conflict.Version, error) {
	res, err := tx.Resolution(p)
	return res.Absence, err
}

func goneBase(v conflict.Version) *index.Base {
	return &index.Base{Kind: shoal.KindTombstone, Version: v}
}

// write appends the drafts in one commit, contents before what hides them, and sets the bases. It returns how many records it wrote.
func (d *drafts) write() (int, error) {
	if len(d.keeps)+len(d.hides) == 0 {
		return 0, nil
	}
	if err := d.e.openJournal(d.tx); err != nil {
		return 0, err
	}
	if err := d.keepUnseen(); err != nil {
		return 0, err
	}
	all := append(d.keeps, d.hides...)
	entries := make([]index.Entry, len(all))
	for i := range all {
		entries[i] = all[i].entry
	}
	dots, err := d.tx.Append(entries)
	if err != nil {
		return 0, err
	}
	for i, dot := range dots {
		if all[i].base == nil {
			continue
		}
		if err := d.setBase(entries[i].Path, recordedBase(all[i], dot)); err != nil {
			return 0, err
		}
	}
	return len(dots), nil
}

// recordedBase is the base after entry became the record dot.
func recordedBase(dr draft, dot shoal.Dot) *index.Base {
	b := *dr.base
	b.Record, b.Version = dot, dr.entry.Version.With(dot)
	b.ContentFrom, b.ModeFrom = dr.entry.ContentFrom, dr.entry.ModeFrom
	if b.ContentFrom.IsZero() {
		b.ContentFrom = dot
	}
	if b.ModeFrom.IsZero() {
		b.ModeFrom = dot
	}
	return &b
}

// openJournal makes sure that there is a journal to write to.
func (e *Engine) openJournal(tx *index.Tx) error {
	if _, open := tx.Own(); open {
		return nil
	}
	if !e.canRecord {
		return ErrWaitJournal
	}
	return tx.OpenJournal()
}

// watchWeak remembers to hash s again when a second change could hide behind the same stat signature.
func (e *Engine) watchWeak(s *sight) {
	if s.weak {
		e.weak[s.path] = reread{at: e.Now().Add(weakDelay)}
	}
}
