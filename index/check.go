package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// maxFaults bounds what Check reports; one fault often shows in many places.
const maxFaults = 50

// checker recomputes a folder from its records and reports what differs. It goes through records and rows as they lie in the database, and holds of them only
// counts and what is rare, so that a big tree takes no more memory than a small one: each record must be in its row, and rows may have no more than those.
type checker struct {
	tx     *Tx
	faults []error

	visible, live int64 // good records that rows must have, and that they have
	holds, held   int64 // the same of holds
	unknown       uint64
	kids          map[shoal.Path]int // living children of folders, less those that their rows tell of
	claims        map[shoal.Path][]claim
	claimed       map[shoal.Path][]claim // what rows say of claims
	users         map[[32]byte]uint64    // rows by long content
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
			tx: tx, kids: make(map[shoal.Path]int), claims: make(map[shoal.Path][]claim), claimed: make(map[shoal.Path][]claim), users: make(map[[32]byte]uint64),
		}
		for _, step := range []func(context.Context) error{c.journals, c.slots, c.readHolds, c.rows, c.places, c.recipes, c.lists} {
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

// record checks one record, and that its row has it.
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
	if deferred {
		return nil
	}
	c.visible++
	row, err := c.tx.row(rec.Entry.Path)
	if err != nil {
		return err
	}
	if row == nil || !slices.Contains(row.live, at) {
		c.fault("%q lacks record %s", string(rec.Entry.Path), rec.Dot)
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

// readHolds checks that the rows of what is held have that.
func (c *checker) readHolds(context.Context) error {
	cur := c.tx.bucket(bHolds).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		p, h := keyPath(v), hold{keyJournal(k), shoal.Slot(recordKeySeq(k))}
		c.holds++
		row, err := c.tx.row(p)
		if err != nil {
			return err
		}
		if row == nil || !slices.Contains(row.held, h) {
			c.fault("%q is not held by %v", string(p), h)
		}
	}
	return nil
}

// places checks that the blocks bucket holds the blocks of all bases and nothing else.
func (c *checker) places(ctx context.Context) error {
	want, found := 0, 0
	blocks := c.tx.bucket(bBlocks)
	u := c.tx.newRowReader()
	if err := c.tx.eachRow("", func(p shoal.Path, row *rowData) error {
		recipe, err := u.recipeOf(p, row.base)
		if err != nil {
			return errors.Join(err, ctx.Err())
		}
		keys := make(map[string]bool)
		for id := range places(recipe) {
			keys[string(append(bytes.Clone(id[:idPrefix]), placeSuffix(p, row.base, len(recipe))...))] = true
		}
		for k := range keys {
			if want++; blocks.Get([]byte(k)) == nil {
				c.fault("%q: place %x is missing", string(p), k)
			}
		}
		return ctx.Err()
	}); err != nil {
		return err
	}
	cur := blocks.Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if !isProof(k) {
			found++
		}
	}
	if found != want {
		c.fault("%d places of blocks, want %d", found, want)
	}
	return nil
}

// recipes checks how many rows use each long recipe.
func (c *checker) recipes(context.Context) error {
	cur := c.tx.bucket(bRecipes).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		n, _ := binary.Uvarint(v)
		if len(k) != 32 || c.users[[32]byte(k)] != n {
			c.fault("recipe %x has %d users, want %d", k, n, c.users[[32]byte(k)])
			continue
		}
		delete(c.users, [32]byte(k))
	}
	for content := range c.users {
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
