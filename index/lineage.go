package index

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// learn notes what the first head of a journal says that it continues. Rows whose answer waited for it are returned. A head that
// says something else than an earlier one is a fork.
func (tx *Tx) learn(j *journal, h *Head, raw []byte) ([]shoal.Path, error) {
	if j.known {
		if j.continues != h.Continues {
			return nil, &ForkError{Journal: j.id, Ours: append([]byte(nil), j.head...), Theirs: raw}
		}
		return nil, nil
	}
	j.known, j.continues, j.abandons = true, h.Continues, h.Abandons
	tx.journals.lineage = nil
	if h.Continues.Journal != (shoal.JournalID{}) {
		// The older journal gets a number, so that rows can wait for its head in turn.
		if _, err := tx.journalOf(h.Continues.Journal); err != nil {
			return nil, err
		}
	}
	return tx.takeMentions(j)
}

// takeMentions returns the rows that waited for the journal's head and forgets that they did.
func (tx *Tx) takeMentions(j *journal) ([]shoal.Path, error) {
	var paths []shoal.Path
	prefix := journalKey(j.number)
	c := tx.bucket(bMentions).Cursor()
	for k, _ := c.Seek(prefix); k != nil && keyJournal(k) == j.number; k, _ = c.Next() {
		paths = append(paths, keyPath(k[4:]))
	}
	for _, p := range paths {
		tx.bucket(bMentions).Delete(append(journalKey(j.number), pathKey(p)...))
	}
	return paths, nil
}

// mention notes that the answer at p depends on what id continues, if that is not known yet.
func (tx *Tx) mention(id shoal.JournalID, p shoal.Path) error {
	for range maxChain {
		j, err := tx.namedJournal(id)
		if err != nil || j == nil {
			return err
		}
		if !j.known {
			tx.bucket(bMentions).Put(append(journalKey(j.number), pathKey(p)...), nil)
			return nil
		}
		if j.continues.Seq == 0 {
			return nil
		}
		id = j.continues.Journal
	}
	return nil
}

// maxChain bounds the journals that are followed one after another; only a liar makes as many, or a circle.
const maxChain = 1000

// Lineage returns which journals continue which others, as far as their heads are known. It must not be changed.
func (tx *Tx) Lineage() conflict.Lineage {
	t := tx.mustJournals()
	if t.lineage == nil {
		t.lineage = make(conflict.Lineage)
		for _, j := range t.list {
			if j.continues.Journal != (shoal.JournalID{}) {
				t.lineage[j.id] = j.continues
			}
		}
	}
	return t.lineage
}
