package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// maxFaults bounds what Check reports; one fault often shows in many places.
const maxFaults = 50

// checker recomputes a folder from its records and reports what differs.
type checker struct {
	tx     *Tx
	faults []error

	visible map[shoal.Path][]ref // good records that rows must have
	held    map[shoal.Path][]hold
	rows    map[shoal.Path]*rowData
	unknown uint64 // records that are set aside without a path
}

func (c *checker) fault(format string, args ...any) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, fmt.Errorf(format, args...))
	}
}

// check is Check for one folder.
func (f *Folder) check(ctx context.Context) error {
	if f.config.Load().Keeper {
		return f.checkKept(ctx)
	}
	return f.View(func(tx *Tx) error {
		if err := tx.requireMember(); err != nil {
			return err
		}
		c := &checker{
			tx: tx, visible: make(map[shoal.Path][]ref), held: make(map[shoal.Path][]hold), rows: make(map[shoal.Path]*rowData),
		}
		for _, step := range []func(context.Context) error{c.journals, c.slots, c.holds, c.readRows, c.checkRows, c.places, c.recipes, c.lists} {
			if err := step(ctx); err != nil {
				return errors.Join(append(c.faults, err)...)
			}
		}
		return errors.Join(c.faults...)
	})
}

// journals checks every journal's records against its digests and head.
func (c *checker) journals(ctx context.Context) error {
	t, err := c.tx.journalTable()
	if err != nil {
		return err
	}
	for _, j := range t.list {
		if err := ctx.Err(); err != nil {
			return err
		}
		count, err := c.records(ctx, j)
		if err != nil {
			return err
		}
		if count != j.count {
			c.fault("journal %s has %d records, says %d", j.id, count, j.count)
		}
		if err := c.head(j); err != nil {
			return err
		}
	}
	return nil
}

// records checks the records of one journal and returns how many count.
func (c *checker) records(ctx context.Context, j *journal) (count uint64, err error) {
	cur := c.tx.bucket(bRecords).Cursor()
	for k, v := cur.Seek(journalKey(j.number)); k != nil && keyJournal(k) == j.number; k, v = cur.Next() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		at := ref{j.number, recordKeySeq(k)}
		s, err := decodeStored(v, at.seq)
		if err != nil {
			return 0, c.tx.damaged("record", k, err)
		}
		staged := at.seq > j.seq
		if !staged {
			count++
			if live := c.tx.liveInSlot(j, s.slot); live != at.seq {
				c.fault("record %s is live, slot %d says %d", j.dot(at.seq), s.slot, live)
			}
		}
		if err := c.record(j, at, s, staged && c.tx.bucket(bDeferred).Get(k) != nil); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// record checks one record and notes where it must be seen.
func (c *checker) record(j *journal, at ref, s *stored, deferred bool) error {
	if s.raw != nil {
		if retry := c.tx.bucket(bRetries).Get(recordKey(at.journal, at.seq)) != nil; retry != s.retry && !deferred {
			c.fault("record %s: to be tried again: %v, noted: %v", j.dot(at.seq), s.retry, retry)
		}
		if s.path == "" && !deferred && !c.tx.keeping() {
			c.unknown++
		}
		return nil
	}
	rec, err := c.tx.record(at, s)
	if err != nil {
		return err
	}
	raw, err := c.tx.travel(at, s)
	if err != nil {
		return err
	}
	if recordHash(raw) != s.hash {
		c.fault("record %s seals to another hash", rec.Dot)
	}
	if !deferred {
		c.visible[rec.Entry.Path] = append(c.visible[rec.Entry.Path], at)
	}
	return nil
}

// head checks digests and head of a journal.
func (c *checker) head(j *journal) error {
	list, err := c.tx.bucketList(j)
	if err != nil {
		return err
	}
	if j.seq == 0 {
		if len(list) > 0 {
			c.fault("journal %s counts for nothing and has %d digests", j.id, len(list))
		}
		return nil
	}
	for _, b := range list {
		if digest, live := c.tx.digestBucket(j.number, b.N, j.seq); digest != b.Digest || live == 0 {
			c.fault("bucket %d of journal %s does not match its digest", b.N, j.id)
		}
	}
	h, err := DecodeHead(j.head)
	if err != nil {
		return fmt.Errorf("head of journal %s: %w", j.id, err)
	}
	if h.Journal != j.id || h.Seq != j.seq || h.Count != j.count || h.Buckets != bucketListHash(list) || h.Hash() != j.headHash ||
		h.Time != j.headTime || !j.known || h.Continues != j.continues {
		c.fault("head of journal %s at %d does not match what is here", j.id, h.Seq)
	}
	return nil
}

// slots checks that each slot names a record that is in it.
func (c *checker) slots(context.Context) error {
	cur := c.tx.bucket(bSlots).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		seq, _ := binary.Uvarint(v)
		data := c.tx.bucket(bRecords).Get(recordKey(keyJournal(k), shoal.Seq(seq)))
		if data == nil || storedSlotOf(data, shoal.Seq(seq)) != shoal.Slot(recordKeySeq(k)) {
			c.fault("slot %x names record %d, which is not in it", k, seq)
		}
	}
	cur = c.tx.bucket(bDeferred).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if c.tx.bucket(bRecords).Get(k) == nil {
			c.fault("deferred record %x is not here", k)
		}
	}
	return nil
}

func (c *checker) holds(context.Context) error {
	cur := c.tx.bucket(bHolds).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		p := keyPath(v)
		c.held[p] = append(c.held[p], hold{keyJournal(k), shoal.Slot(recordKeySeq(k))})
	}
	return nil
}

func (c *checker) readRows(context.Context) error {
	return c.tx.eachRow("", func(p shoal.Path, row *rowData) error {
		c.rows[p] = row
		return nil
	})
}

// places checks that the blocks bucket holds the blocks of all bases and nothing else.
func (c *checker) places(ctx context.Context) error {
	u := c.tx.newRowReader()
	want := make(map[string]bool)
	for p, row := range c.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		recipe, err := u.recipeOf(p, row.base)
		if err != nil {
			return err
		}
		for id := range places(recipe) {
			want[string(append(bytes.Clone(id[:idPrefix]), placeSuffix(p, row.base, len(recipe))...))] = true
		}
	}
	found := 0
	cur := c.tx.bucket(bBlocks).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if isProof(k) {
			continue
		}
		if !want[string(k)] {
			c.fault("place %x of a block that no base has", k)
		}
		found++
	}
	if found != len(want) {
		c.fault("%d places of blocks, want %d", found, len(want))
	}
	return nil
}

// recipes checks how many rows use each long recipe.
func (c *checker) recipes(context.Context) error {
	users := make(map[[32]byte]uint64)
	for _, row := range c.rows {
		for _, content := range row.long {
			users[content]++
		}
	}
	cur := c.tx.bucket(bRecipes).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		n, _ := binary.Uvarint(v)
		if len(k) != 32 || users[[32]byte(k)] != n {
			c.fault("recipe %x has %d users, want %d", k, n, users[[32]byte(k)])
			continue
		}
		delete(users, [32]byte(k))
	}
	for content := range users {
		c.fault("recipe %x is not counted", content)
	}
	return nil
}

// lists reads what nothing else follows from.
func (c *checker) lists(context.Context) error {
	problems, err := c.tx.Problems()
	if err != nil {
		return err
	}
	if n, _ := binary.Uvarint(c.tx.bucket(bMeta).Get([]byte(metaProblems))); n != uint64(len(problems)) {
		c.fault("%d problems, counted %d", len(problems), n)
	}
	if n, _ := binary.Uvarint(c.tx.bucket(bMeta).Get([]byte(metaUnknown))); n != c.unknown {
		c.fault("%d records without a path are set aside, counted %d", c.unknown, n)
	}
	if _, err := c.tx.Forks(); err != nil {
		return err
	}
	if err := c.vaults(); err != nil {
		return err
	}
	statuses, err := c.tx.Statuses()
	for dev, raw := range statuses {
		if _, err := DecodeStatus(raw); err != nil {
			return fmt.Errorf("status of %s: %w", dev, err)
		}
	}
	return err
}

// vaults reads what is known of the copies of vaults.
func (c *checker) vaults() error {
	if _, err := c.tx.LapseProofs(); err != nil {
		return err
	}
	if _, err := c.tx.SpoiledCopies(1 << 30); err != nil {
		return err
	}
	cur := c.tx.bucket(bAcks).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if len(k) != len(shoal.DeviceID{}) {
			return c.tx.damaged("acknowledged", k, errShort)
		}
		if _, _, err := c.tx.Acknowledged(shoal.DeviceID(k)); err != nil {
			return err
		}
	}
	t, err := c.tx.journalTable()
	if err != nil {
		return err
	}
	cur = c.tx.bucket(bProofs).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		p, err := decodeProof(k, v)
		if err != nil {
			return c.tx.damaged("proof", k, err)
		}
		if p.number == 0 || int(p.number) > len(t.list) || max(p.own, p.all) > t.list[p.number-1].seq {
			c.fault("blocks of journal %d are proved up to %d and %d", p.number, p.own, p.all)
		}
	}
	return nil
}
