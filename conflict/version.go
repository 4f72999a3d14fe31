package conflict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
)

// Version is a version vector: for each journal, the greatest seq at one path that the author of a record had seen, its own
// record included. It is sorted by journal, with one dot per journal and every Seq ≥ 1 (Validate holds that); nil is the empty
// version. A Version is never changed once made, so values may share memory.
//
// Versions of different paths have nothing to do with each other and must never be joined.
type Version []shoal.Dot

// Validate refuses versions that are not sorted strictly by journal, or that hold a zero seq or an invalid journal.
func (v Version) Validate() error {
	for i, d := range v {
		if err := d.Journal.Validate(); err != nil {
			return fmt.Errorf("version: %w", err)
		}
		if d.Seq == 0 {
			return fmt.Errorf("version: seq 0 of %s: %w", d.Journal, shoal.ErrInvalid)
		}
		if i > 0 && v[i-1].Journal.Compare(d.Journal) >= 0 {
			return fmt.Errorf("version: %s is not after %s: %w", d.Journal, v[i-1].Journal, shoal.ErrInvalid)
		}
	}
	return nil
}

// String lists the dots in order, for messages and tests.
func (v Version) String() string {
	parts := make([]string, len(v))
	for i, d := range v {
		parts[i] = d.String()
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// find returns where the component of j is, or where it would be put.
func (v Version) find(j shoal.JournalID) (int, bool) {
	return slices.BinarySearchFunc(v, j, func(d shoal.Dot, j shoal.JournalID) int { return d.Journal.Compare(j) })
}

// Get returns the component of journal j; 0 when there is none. It knows no lineage: see [Lineage.Covers].
func (v Version) Get(j shoal.JournalID) shoal.Seq {
	if i, ok := v.find(j); ok {
		return v[i].Seq
	}
	return 0
}

// With returns v joined with the one dot d. A zero dot adds nothing.
func (v Version) With(d shoal.Dot) Version {
	if d.IsZero() {
		return v
	}
	i, ok := v.find(d.Journal)
	if ok && v[i].Seq >= d.Seq {
		return v
	}
	out := make(Version, 0, len(v)+1)
	out = append(append(out, v[:i]...), d)
	if ok {
		i++
	}
	return append(out, v[i:]...)
}

// Equal tells whether both hold the same components.
func (v Version) Equal(o Version) bool { return slices.Equal(v, o) }

// Join returns the least version that has every component of a and of b. It allocates only when the answer is neither of them.
func Join(a, b Version) Version {
	switch {
	case contains(a, b):
		return a
	case contains(b, a):
		return b
	}
	out := make(Version, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].Journal.Compare(b[0].Journal); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			d := a[0]
			d.Seq = max(d.Seq, b[0].Seq)
			out, a, b = append(out, d), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// contains tells whether a has every component of b, without any lineage. It walks both once.
func contains(a, b Version) bool {
	if len(a) < len(b) {
		return false
	}
	for _, d := range b {
		for len(a) > 0 && a[0].Journal.Compare(d.Journal) < 0 {
			a = a[1:]
		}
		if len(a) == 0 || a[0].Journal != d.Journal || a[0].Seq < d.Seq {
			return false
		}
		a = a[1:]
	}
	return true
}
