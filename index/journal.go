package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// journal is what is known of one journal of the folder.
type journal struct {
	number uint32
	id     shoal.JournalID

	known   bool // a head was seen, so continues is right
	foreign bool // of this device, but grown by records that came from elsewhere
	shared  bool // of this device: it left the device

	seq       shoal.Seq // what counts: complete up to there
	count     uint64    // live records up to seq
	head      []byte    // signed, at seq
	headHash  [32]byte
	headTime  int64
	continues shoal.Dot
	lastTime  int64 // of this device: greatest time of a record

	// held is set when foreign is: how far this database held the journal before it grew from elsewhere. The disk has shown
	// what is up to there, and perhaps nothing above.
	held shoal.Seq
}

const (
	journalKnown = 1 << iota
	journalForeign
	journalShared
	journalContinues
)

func (j *journal) encode() []byte {
	flags := bit(j.known, journalKnown) | bit(j.foreign, journalForeign) | bit(j.shared, journalShared) |
		bit(j.continues.Journal != shoal.JournalID{}, journalContinues)
	b := append(make([]byte, 0, 128+len(j.head)), flags)
	b = append(b, j.id.Bytes()...)
	b = binary.AppendUvarint(b, uint64(j.seq))
	b = binary.AppendUvarint(b, j.count)
	b = binary.AppendVarint(b, j.lastTime)
	if flags&journalContinues != 0 {
		b = append(b, j.continues.Journal.Bytes()...)
		b = binary.AppendUvarint(b, uint64(j.continues.Seq))
	}
	if j.foreign {
		b = binary.AppendUvarint(b, uint64(j.held))
	}
	if j.seq > 0 {
		b = appendBytes(b, j.head)
		b = append(b, j.headHash[:]...)
		b = binary.AppendVarint(b, j.headTime)
	}
	return b
}

// bit returns flag when it is set.
func bit(set bool, flag byte) byte {
	if set {
		return flag
	}
	return 0
}

func decodeJournal(data []byte) (*journal, error) {
	d := decoder{data: data}
	flags := d.byte()
	j := &journal{known: flags&journalKnown != 0, foreign: flags&journalForeign != 0, shared: flags&journalShared != 0}
	j.id = d.journalID()
	j.seq, j.count, j.lastTime = shoal.Seq(d.uvarint()), d.uvarint(), d.varint()
	if flags&journalContinues != 0 {
		j.continues.Journal = d.journalID()
		j.continues.Seq = shoal.Seq(d.uvarint())
	}
	if j.foreign {
		j.held = shoal.Seq(d.uvarint())
	}
	if j.seq > 0 {
		j.head, j.headHash, j.headTime = d.bytes(), d.array32(), d.varint()
	}
	return j, d.end()
}

func (d *decoder) journalID() (j shoal.JournalID) {
	b := d.take(journalBytes)
	if b == nil {
		return j
	}
	copy(j.Device[:], b)
	j.Nonce = binary.BigEndian.Uint64(b[32:])
	return j
}

// dot returns the name of one of the journal's records.
func (j *journal) dot(seq shoal.Seq) shoal.Dot { return shoal.Dot{Journal: j.id, Seq: seq} }

// journalTable is all journals of the folder: tens, not thousands.
type journalTable struct {
	list    []*journal // by number - 1
	byID    map[shoal.JournalID]*journal
	lineage conflict.Lineage // nil until asked for
}

func (tx *Tx) journalTable() (*journalTable, error) {
	if tx.journals != nil {
		return tx.journals, nil
	}
	t := &journalTable{byID: make(map[shoal.JournalID]*journal)}
	c := tx.bucket(bJournals).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		j, err := decodeJournal(v)
		if err == nil && keyJournal(k) != uint32(len(t.list)+1) {
			err = errShort
		}
		if err != nil {
			return nil, tx.damaged("journal", k, err)
		}
		j.number = keyJournal(k)
		t.list = append(t.list, j)
		t.byID[j.id] = j
	}
	tx.journals = t
	return t, nil
}

// mustJournals is for methods that cannot return an error; the transaction's function turns the panic into *DamagedError.
func (tx *Tx) mustJournals() *journalTable {
	t, err := tx.journalTable()
	if err != nil {
		panic(damage{err})
	}
	return t
}

// journalNumber returns a journal that has a number.
func (tx *Tx) journalNumber(n uint32) (*journal, error) {
	t, err := tx.journalTable()
	if err != nil {
		return nil, err
	}
	if n == 0 || int(n) > len(t.list) {
		return nil, tx.damaged("journal", journalKey(n), errShort)
	}
	return t.list[n-1], nil
}

// journalOf returns the journal with an ID; it gets a number when it has none.
func (tx *Tx) journalOf(id shoal.JournalID) (*journal, error) {
	t, err := tx.journalTable()
	if err != nil {
		return nil, err
	}
	if j := t.byID[id]; j != nil {
		return j, nil
	}
	j := &journal{number: uint32(len(t.list) + 1), id: id}
	t.list = append(t.list, j)
	t.byID[id] = j
	tx.putJournal(j)
	return j, nil
}

// maxNamed bounds the journals that are known by name only: records name them freely.
const maxNamed = 10_000

// namedJournal is journalOf for a journal that a record names; nil: there are too many that nobody has ever seen.
func (tx *Tx) namedJournal(id shoal.JournalID) (*journal, error) {
	t, err := tx.journalTable()
	if err != nil {
		return nil, err
	}
	if j := t.byID[id]; j != nil || t.named() >= maxNamed {
		return j, nil
	}
	return tx.journalOf(id)
}

func (t *journalTable) named() (n int) {
	for _, j := range t.list {
		if !j.known {
			n++
		}
	}
	return n
}

func (tx *Tx) putJournal(j *journal) { tx.bucket(bJournals).Put(journalKey(j.number), j.encode()) }

// learn notes what the first head of a journal says that it continues. Rows whose answer waited for it are returned. A head that
// says something else than an earlier one is a fork.
func (tx *Tx) learn(j *journal, h *Head, raw []byte) ([]shoal.Path, error) {
	if j.known {
		if j.continues != h.Continues {
			return nil, &ForkError{Journal: j.id, Ours: append([]byte(nil), j.head...), Theirs: raw}
		}
		return nil, nil
	}
	j.known, j.continues = true, h.Continues
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

// Frontier returns how much of every journal is here and counts. Journals of others of which nothing counts yet, because a
// transfer is under way or because they were cut, are there with Seq 0.
func (tx *Tx) Frontier() map[shoal.JournalID]JournalPos {
	t := tx.mustJournals()
	self := tx.config.Identity.Device()
	out := make(map[shoal.JournalID]JournalPos, len(t.list))
	for _, j := range t.list {
		if j.known && (j.seq > 0 || j.id.Device != self) {
			out[j.id] = JournalPos{Seq: j.seq, Head: bytes.Clone(j.head), HeadHash: j.headHash, Time: j.headTime}
		}
	}
	return out
}

const metaOwn = "own" // number of the own journal that was written last

// ownJournal returns the journal that this device wrote last; nil: none yet.
func (tx *Tx) ownJournal() (*journal, error) {
	v := tx.bucket(bMeta).Get([]byte(metaOwn))
	if v == nil {
		return nil, nil
	}
	return tx.journalNumber(keyJournal(v))
}

func (tx *Tx) mustOwn() *journal {
	j, err := tx.ownJournal()
	if err != nil {
		panic(damage{err})
	}
	return j
}

// Own returns the journal that this device wrote last, and whether it is open for writing in this run. The zero ID: there is none.
func (tx *Tx) Own() (id shoal.JournalID, open bool) {
	if j := tx.mustOwn(); j != nil {
		return j.id, j.number == tx.writing
	}
	return shoal.JournalID{}, false
}

// OpenJournal begins a new journal for writing. It continues the last one up to where this database holds it.
func (tx *Tx) OpenJournal() error {
	own, err := tx.ownJournal()
	if err != nil {
		return err
	}
	var continues shoal.Dot
	switch {
	case own == nil:
	case own.foreign:
		continues = own.dot(own.held)
	case own.seq == 0: // nothing was ever written to it
		continues = own.continues
	default:
		continues = own.dot(own.seq)
	}
	return tx.openJournal(continues)
}

// OpenJournalAt is OpenJournal for a device that was told that its last journal has two histories: the new one continues it at
// seq, the last one below which both agree (AgreedUpTo), or lower. What this device alone had above is to be recorded again.
func (tx *Tx) OpenJournalAt(seq shoal.Seq) error {
	own, err := tx.ownJournal()
	switch {
	case err != nil:
		return err
	case own == nil:
		return ErrNoJournal
	case own.foreign:
		seq = min(seq, own.held)
	}
	return tx.openJournal(own.dot(min(seq, own.seq)))
}

func (tx *Tx) openJournal(continues shoal.Dot) error {
	return tx.change(func() error {
		var nonce [8]byte
		if _, err := io.ReadFull(tx.folder.db.options.Rand, nonce[:]); err != nil {
			return fmt.Errorf("read randomness: %w", err)
		}
		id := shoal.JournalID{Device: tx.config.Identity.Device(), Nonce: binary.BigEndian.Uint64(nonce[:])}
		t, err := tx.journalTable()
		if err != nil {
			return err
		}
		if t.byID[id] != nil {
			return errors.New("the random source repeats itself")
		}
		j, err := tx.journalOf(id)
		if err != nil {
			return err
		}
		j.known, j.continues = true, continues
		if older := t.byID[continues.Journal]; older != nil {
			j.lastTime = older.lastTime
		}
		t.lineage = nil
		tx.putJournal(j)
		tx.bucket(bMeta).Put([]byte(metaOwn), journalKey(j.number))
		tx.startWriting(j.number)
		return nil
	})
}

// startWriting opens a journal in this transaction, and in the folder once it is committed.
func (tx *Tx) startWriting(number uint32) {
	tx.writing = number
	tx.after = append(tx.after, func() { tx.folder.writing.Store(number) })
}

// ContinueJournal goes on in the journal that this device wrote last. The caller has proof that this database holds its end: a
// peer showed the same head, or it never left the device (JournalShared). Errors: ErrNoJournal: there is none;
// ErrForeignJournal: it grew by records from elsewhere, so there is no such proof.
func (tx *Tx) ContinueJournal() error {
	if !tx.writable {
		return ErrReadOnly
	}
	j, err := tx.ownJournal()
	if err != nil {
		return err
	}
	switch {
	case j == nil:
		return ErrNoJournal
	case j.foreign:
		return ErrForeignJournal
	}
	tx.startWriting(j.number)
	return nil
}

// JournalShared tells whether the journal that this device wrote last has ever left it.
func (tx *Tx) JournalShared() bool {
	j := tx.mustOwn()
	return j != nil && j.shared
}

// MarkShared notes that the own journal leaves the device. It must be durable before the first record does.
func (tx *Tx) MarkShared() error {
	if !tx.writable {
		return ErrReadOnly
	}
	j, err := tx.ownJournal()
	if err != nil || j == nil || j.shared {
		return err
	}
	j.shared = true
	tx.putJournal(j)
	return nil
}
