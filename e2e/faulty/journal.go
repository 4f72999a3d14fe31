package faulty

import (
	"encoding/binary"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// journal is a journal of a faulty device, made by hand from docs/formats/record.md and head.md.
type journal struct {
	p       *Peer
	id      shoal.JournalID
	records [][]byte // live, at seq 1, 2, …
}

// newJournal begins a journal.
func (p *Peer) newJournal() *journal {
	p.nonce++
	return &journal{p: p, id: shoal.JournalID{Device: p.Device(), Nonce: uint64(time.Now().UnixNano()) + p.nonce}}
}

// filled is a journal with some folders in it.
func (p *Peer) filled(records int) *journal {
	j := p.newJournal()
	for range records {
		j.add(j.folder("faulty"))
	}
	return j
}

// Entry kinds (docs/formats/record.md).
const (
	kindTombstone = 1
	kindFile      = 2
	kindFolder    = 3
	kindSymlink   = 4
)

// entry begins an entry. Fields must be added in ascending order.
func entry(path string, kind uint64) message {
	return message(nil).bytes(1, []byte(path)).uint(2, kind)
}

// timed ends an entry with the time of the record.
func timed(m message) message { return m.fixed(19, uint64(time.Now().UnixNano())) }

// folder is an entry that is right.
func (j *journal) folder(path string) message { return timed(entry(path, kindFolder).uint(3, 0o755)) }

// file is the entry of a file with a recipe.
func (j *journal) file(path string, recipe []byte) message {
	return timed(entry(path, kindFile).uint(3, 0o644).fixed(4, uint64(time.Now().UnixNano())).bytes(8, recipe))
}

// recipe lists blocks of a size.
func recipe(size uint32, ids ...block.ID) []byte {
	r := []byte{1}
	for _, id := range ids {
		r = binary.BigEndian.AppendUint32(append(r, id[:]...), size)
	}
	return r
}

// clear is the clear part of the record at the end of the journal.
func (j *journal) clear(blocks ...block.ID) message {
	seq := uint64(len(j.records) + 1)
	m := message(nil).uint(1, 1).bytes(2, j.p.mesh[:]).bytes(3, j.p.folder[:]).bytes(4, j.p.epoch.ID[:]).bytes(5, j.id.Bytes()).uint(6, seq)
	if len(blocks) > 0 {
		var ids []byte
		for _, id := range blocks {
			ids = append(ids, id[:]...)
		}
		m = m.bytes(9, ids)
	}
	return m
}

// add appends a record with this entry, and with these blocks in its clear part.
func (j *journal) add(e message, blocks ...block.ID) { j.addUnder(j.clear(blocks...), e) }

// addUnder appends a record with this clear part.
func (j *journal) addUnder(clear, e message) {
	n := max(128, block.Padme(len(e)+1))
	padded := append(append(make([]byte, 0, n), e...), 1)[:n]
	j.addRaw(clear, j.sealPart(append([]byte("shoal/record/v1\x00"), clear...), padded))
}

// addRaw appends a record of two parts.
func (j *journal) addRaw(clear, sealed []byte) {
	j.records = append(j.records, message(nil).bytes(1, clear).bytes(2, sealed))
}

func (j *journal) sealPart(ad, padded []byte) []byte {
	cipher, err := chacha20poly1305.NewX(j.p.epoch.Record[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	h, err := blake3.NewKeyed(j.p.epoch.Nonce[:])
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(ad))))
	_, _ = h.Write(ad)
	_, _ = h.Write(padded)
	nonce := h.Sum(nil)[:chacha20poly1305.NonceSizeX]
	return cipher.Seal(append([]byte(nil), nonce...), nonce, padded, ad)
}

func labelled(label string, parts ...[]byte) (out [32]byte) {
	h := blake3.New()
	_, _ = h.WriteString(label)
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// digests returns the digests of all buckets.
func (j *journal) digests() (list [][]byte, sum [32]byte) {
	var all []byte
	for n := 0; n*1024 <= len(j.records); n++ {
		var hashes []byte
		for seq := max(n*1024, 1); seq < (n+1)*1024 && seq <= len(j.records); seq++ {
			h := labelled("shoal/record/v1\x00", j.records[seq-1])
			hashes = append(hashes, h[:]...)
		}
		if len(hashes) == 0 {
			continue
		}
		d := labelled("shoal/bucket/v1\x00", hashes)
		list = append(list, digest(uint64(n), d))
		all = append(binary.BigEndian.AppendUint64(all, uint64(n)), d[:]...)
	}
	return list, labelled("shoal/bucket-list/v1\x00", all)
}

// claim is what a head says.
type claim struct {
	journal shoal.JournalID
	folder  shoal.FolderID
	seq     uint64
	count   uint64
	buckets [32]byte
	time    int64
	others  int // heads of journals that do not exist
}

// claim is the truth about the journal.
func (j *journal) claim() claim {
	_, sum := j.digests()
	n := uint64(len(j.records))
	return claim{journal: j.id, folder: j.p.folder, seq: n, count: n, buckets: sum, time: time.Now().UnixNano()}
}

// head signs the truth.
func (j *journal) head() []byte { return j.p.sign(j.claim()) }

// sign signs any claim as the faulty device.
func (p *Peer) sign(c claim) []byte {
	m := message(nil).uint(1, 1).bytes(2, p.mesh[:]).bytes(3, c.folder[:]).bytes(4, c.journal.Bytes()).uint(5, c.seq).uint(6, c.count).
		bytes(7, c.buckets[:]).fixed(8, uint64(c.time))
	for i := range c.others {
		other := shoal.JournalID{Device: c.journal.Device, Nonce: uint64(i + 1)}
		m = m.bytes(11, message(nil).bytes(1, other.Bytes()).uint(2, 1).bytes(3, c.buckets[:]))
	}
	return p.signed("head", m)
}

// signed wraps a body and its signature.
func (p *Peer) signed(label string, m message) []byte {
	return message(nil).bytes(1, m).bytes(2, p.id.Sign(label, m))
}

// hash is the head hash of a claim.
func (p *Peer) hash(c claim) [32]byte {
	b := append(append([]byte(nil), p.mesh[:]...), c.folder[:]...)
	b = binary.BigEndian.AppendUint64(append(b, c.journal.Bytes()...), c.seq)
	b = append(binary.BigEndian.AppendUint64(b, c.count), c.buckets[:]...)
	return labelled("shoal/head-hash/v1\x00", b)
}

// position is the truth about how far the journal is.
func (j *journal) position() []byte {
	c := j.claim()
	return position(j.id, c.seq, j.p.hash(c), c.time)
}

// batch is the whole journal as one batch.
func (j *journal) batch() []byte {
	return batch(j.p.folder, j.id, 0, uint64(len(j.records)), j.records, j.head())
}
