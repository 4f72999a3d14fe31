package index

import (
	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// proofWalk walks along a journal as long as all blocks are proved.
type proofWalk struct {
	tx      *Tx
	vault   shoal.DeviceID
	journal *journal
	left    int // records to look at yet

	stuck []block.EpochRef // blocks of the record at which the walk ended that are not proved
	at    ref              // that record
}

// walk returns how far it came from a seq on. Up to vouched nothing is looked at.
func (w *proofWalk) walk(from, vouched shoal.Seq) (shoal.Seq, error) {
	from = max(from, vouched)
	c := w.tx.bucket(bRecords).Cursor()
	for k, v := c.Seek(recordKey(w.journal.number, from+1)); k != nil && keyJournal(k) == w.journal.number; k, v = c.Next() {
		seq := recordKeySeq(k)
		if seq > w.journal.seq {
			break
		}
		if w.left--; w.left < 0 {
			return from, nil
		}
		s, err := decodeStored(v, seq)
		if err != nil {
			return from, w.tx.damaged("record", k, err)
		}
		w.at = ref{w.journal.number, seq}
		if w.stuck, err = w.tx.unproved(w.vault, w.at, s); err != nil || w.stuck != nil {
			return from, err
		}
		from = seq
	}
	return w.journal.seq, nil
}

// unproved returns the blocks of a record that are not proved to be at a vault; not nil but empty when they are not known here. A record that was
// set aside, or that one of another journal replaces, needs none.
func (tx *Tx) unproved(vault shoal.DeviceID, at ref, s *stored) ([]block.EpochRef, error) {
	if s.raw != nil {
		return nil, nil
	}
	rec, err := tx.record(at, s)
	if err != nil || rec.Entry.Kind != shoal.KindFile || rec.Entry.Size == 0 {
		return nil, err
	}
	if err := tx.fillRecipe(&rec.Entry); err != nil {
		return nil, err
	}
	var out []block.EpochRef
	if len(rec.Entry.RecipeParts) > 0 && rec.Entry.Recipe == nil {
		out = []block.EpochRef{}
	} else {
		for _, b := range rec.Entry.refSet(rec.Epoch) {
			if !tx.ProvedAt(vault, b) {
				out = append(out, b)
			}
		}
	}
	if out == nil {
		return nil, nil
	}
	if replaced, err := tx.isReplaced(at, rec); err != nil || replaced {
		return nil, err
	}
	return out, nil
}

// Unproved is a block of which nobody has shown that a vault has it, and where it occurs.
type Unproved struct {
	Block  block.EpochRef
	Size   uint32 // of the plaintext
	Record shoal.Dot
	Index  uint32 // where in the recipe of the record
	Part   bool   // of the recipe itself
}

// Unproved returns up to max of the blocks that AdvanceProofs waits for: those of the next record in each journal.
func (tx *Tx) Unproved(vault shoal.DeviceID, max int) ([]Unproved, error) {
	if err := tx.requireKeys(); err != nil {
		return nil, err
	}
	vouched, err := tx.vouched(vault)
	if err != nil {
		return nil, err
	}
	var out []Unproved
	for _, j := range tx.mustJournals().list {
		p, err := tx.proof(vault, j.number)
		if err != nil {
			return nil, err
		}
		w := proofWalk{tx: tx, vault: vault, journal: j, left: auditLooks}
		if _, err := w.walk(p.all, vouched[j.id]); err != nil {
			return nil, err
		}
		if len(w.stuck) == 0 {
			continue
		}
		list, err := tx.wantsOf(w.at, w.stuck, max-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// auditLooks is how many records Unproved looks at in a journal.
const auditLooks = 1000

// wantsOf says where blocks of a record occur in it.
func (tx *Tx) wantsOf(at ref, blocks []block.EpochRef, max int) ([]Unproved, error) {
	rec, err := tx.loadRecord(at)
	if err == nil {
		err = tx.fillRecipe(&rec.Entry)
	}
	if err != nil {
		return nil, err
	}
	missing := make(map[block.ID]shoal.EpochID, len(blocks))
	for _, b := range blocks {
		missing[b.ID] = b.Epoch
	}
	var out []Unproved
	for part, list := range []block.Recipe{rec.Entry.Recipe, rec.Entry.RecipeParts} {
		for i, r := range list {
			epoch, ok := missing[r.ID]
			if !ok || len(out) >= max {
				continue
			}
			delete(missing, r.ID)
			out = append(out, Unproved{Block: block.EpochRef{ID: r.ID, Epoch: epoch}, Size: r.Size, Record: rec.Dot, Index: uint32(i), Part: part == 1})
		}
	}
	return out, nil
}
