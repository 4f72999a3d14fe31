package index

import (
	"bytes"
	"encoding/binary"

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
	abandons  []uint64 // Head.Abandons of its heads
	lastTime  int64    // of this device: greatest time of a record
	lives     []life   // of this device: the runs that went on in the journal, ascending, at most MaxLives

	// held is set when foreign is: how far this database held the journal before it grew from elsewhere. The disk has shown
	// what is up to there, and perhaps nothing above.
	held shoal.Seq
}

const (
	journalKnown = 1 << iota
	journalForeign
	journalShared
	journalContinues
	journalLives
)

// life is a run of this device that went on in a journal, after that had reached a seq.
type life struct {
	after shoal.Seq
	nonce uint64
}

// life returns what Head.Life is to say.
func (j *journal) life() uint64 {
	if len(j.lives) == 0 {
		return 0
	}
	return j.lives[len(j.lives)-1].nonce
}

func (j *journal) encode() []byte {
	flags := bit(j.known, journalKnown) | bit(j.foreign, journalForeign) | bit(j.shared, journalShared) |
		bit(j.continues.Journal != shoal.JournalID{}, journalContinues) | bit(len(j.lives)+len(j.abandons) > 0, journalLives)
	b := append(make([]byte, 0, 128+len(j.head)), flags)
	b = append(b, j.id.Bytes()...)
	b = binary.AppendUvarint(b, uint64(j.seq))
	b = binary.AppendUvarint(b, j.count)
	b = binary.AppendVarint(b, j.lastTime)
	if flags&journalContinues != 0 {
		b = append(b, j.continues.Journal.Bytes()...)
		b = binary.AppendUvarint(b, uint64(j.continues.Seq))
	}
	if flags&journalLives != 0 {
		b = binary.AppendUvarint(b, uint64(len(j.lives)))
		for _, l := range j.lives {
			b = binary.BigEndian.AppendUint64(binary.AppendUvarint(b, uint64(l.after)), l.nonce)
		}
		b = binary.AppendUvarint(b, uint64(len(j.abandons)))
		for _, nonce := range j.abandons {
			b = binary.BigEndian.AppendUint64(b, nonce)
		}
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
	if flags&journalLives != 0 {
		for range d.count() {
			j.lives = append(j.lives, life{after: shoal.Seq(d.uvarint()), nonce: d.uint64()})
		}
		for range d.count() {
			j.abandons = append(j.abandons, d.uint64())
		}
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

func (d *decoder) uint64() uint64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
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
