package index

import (
	"bytes"
	"encoding/binary"

	"github.com/shoalmesh/shoal"
)

// A problem's key is its path, two zero bytes, its kind; so a path's problems lie together and no path is another's beginning.

// maxProblems bounds what is kept; later ones are counted by nobody, the first are the ones to look at.
const maxProblems = 10_000

const metaProblems = "problems" // how many there are

func problemKey(p shoal.Path, kind string) []byte {
	return append(append(pathKey(p), 0, 0), kind...)
}

const metaUnknown = "unknown" // records that are set aside and of which not even the path is known

// countUnknown keeps the problem of records without a known path until there are none.
func (tx *Tx) countUnknown(by int) error {
	n, _ := binary.Uvarint(tx.bucket(bMeta).Get([]byte(metaUnknown)))
	n += uint64(by)
	tx.bucket(bMeta).Put([]byte(metaUnknown), binary.AppendUvarint(nil, n))
	if n > 0 {
		return nil
	}
	return tx.SetProblem("", ProblemRecord, "")
}

// Problems returns the problems of the folder in tree order, at most 10,000.
func (tx *Tx) Problems() ([]Problem, error) {
	var out []Problem
	c := tx.bucket(bProblems).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		i := bytes.Index(k, []byte{0, 0})
		d := decoder{data: v}
		since := d.varint()
		if i < 0 || d.err != nil {
			return nil, tx.damaged("problem", k, errShort)
		}
		out = append(out, Problem{Path: keyPath(k[:i]), Kind: string(k[i+2:]), Message: string(d.data), Since: since})
	}
	return out, nil
}

// SetProblem notes a problem of a path, or with an empty message that there is none of this kind any more. A problem that is
// noted again keeps its Since. Beyond 10,000 problems new ones are dropped.
func (tx *Tx) SetProblem(p shoal.Path, kind, message string) error {
	if !tx.writable {
		return ErrReadOnly
	}
	b, key := tx.bucket(bProblems), problemKey(p, kind)
	old := b.Get(key)
	count, _ := binary.Uvarint(tx.bucket(bMeta).Get([]byte(metaProblems)))
	since := tx.now()
	switch {
	case message == "" && old == nil:
		return nil
	case message == "":
		b.Delete(key)
		count--
	case old != nil:
		since, _ = binary.Varint(old)
	case count >= maxProblems:
		return nil
	default:
		count++
	}
	if message != "" {
		b.Put(key, append(binary.AppendVarint(nil, since), message...))
	}
	tx.bucket(bMeta).Put([]byte(metaProblems), binary.AppendUvarint(nil, count))
	return nil
}
