package index

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/shoalmesh/shoal"
)

// The values of the database are written with the append functions of encoding/binary and read with a decoder. They are this
// device's own: what does not decode is damage.

var errShort = errors.New("value ends too early or goes on too long")

// decoder reads a value of the database. After the first error everything reads as zero; err tells it in the end.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) fail() {
	d.err = errShort
	d.data = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) byte() byte {
	b := d.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

// take returns the next n bytes, which stay part of the value; nil when there are not as many.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.data) {
		d.fail()
		return nil
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) array32() (out [32]byte) {
	copy(out[:], d.take(32))
	return out
}

// bytes reads a length and as many bytes.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.data)) {
		d.fail()
		return nil
	}
	return d.take(int(n))
}

// count reads the length of a list whose items take at least one byte each.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.data)) {
		d.fail()
		return 0
	}
	return int(n)
}

// end returns the first error, or that something is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.data) > 0 {
		d.err = errShort
	}
	return d.err
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// pathKey makes keys sort as a walk of the tree: '/' becomes 0, which no name contains.
func pathKey(p shoal.Path) []byte {
	k := []byte(p)
	for i, c := range k {
		if c == '/' {
			k[i] = 0
		}
	}
	return k
}

func keyPath(k []byte) shoal.Path { return shoal.Path(strings.ReplaceAll(string(k), "\x00", "/")) }

// ref names a record by the short number of its journal.
type ref struct {
	journal uint32
	seq     shoal.Seq
}

// maxSeq is the greatest seq that record keys hold: 48 bits, a million records a second for nine years.
const maxSeq = 1<<48 - 1

// recordKey is 4 bytes of journal and 6 of seq, big-endian, so that a journal lies together in order.
func recordKey(journal uint32, seq shoal.Seq) []byte {
	k := make([]byte, 10)
	binary.BigEndian.PutUint32(k, journal)
	k[4], k[5] = byte(seq>>40), byte(seq>>32)
	binary.BigEndian.PutUint32(k[6:], uint32(seq))
	return k
}

func recordKeySeq(k []byte) shoal.Seq {
	if len(k) != 10 {
		return 0
	}
	return shoal.Seq(k[4])<<40 | shoal.Seq(k[5])<<32 | shoal.Seq(binary.BigEndian.Uint32(k[6:]))
}

func keyJournal(k []byte) uint32 {
	if len(k) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(k)
}

func journalKey(journal uint32) []byte { return binary.BigEndian.AppendUint32(nil, journal) }

// bucketKey is the journal and 8 bytes of bucket number, big-endian.
func bucketKey(journal uint32, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(make([]byte, 0, 12), journal), n)
}

func appendRef(b []byte, r ref) []byte {
	b = binary.AppendUvarint(b, uint64(r.journal))
	return binary.AppendUvarint(b, uint64(r.seq))
}

func (d *decoder) ref() ref {
	return ref{journal: uint32(d.uvarint()), seq: shoal.Seq(d.uvarint())}
}

func bucketKeyN(k []byte) uint64 { return binary.BigEndian.Uint64(k[4:12]) }
