package kv

import (
	"bytes"
	"errors"
	"testing"
)

// freelistFile is a file of 8 pages of 4 KiB whose page 2 is a list of free pages; pages 3 and 4 are in use.
func freelistFile(flags, count uint16, entries ...uint64) *verifier {
	const size = 4096
	file := make([]byte, 8*size)
	page := file[2*size:]
	native.PutUint64(page, 2)
	native.PutUint16(page[8:], flags)
	native.PutUint16(page[10:], count)
	for i, e := range entries {
		native.PutUint64(page[pageHeader+8*i:], e)
	}
	v := &verifier{file: bytes.NewReader(file), pageSize: size, high: 8, seen: make([]bool, 8)}
	v.seen[3], v.seen[4] = true, true
	return v
}

func TestTheListOfFreePagesIsChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		v    *verifier
		good bool
	}{
		{"no page is free", freelistFile(freelistPage, 0), true},
		{"free pages", freelistFile(freelistPage, 3, 5, 6, 7), true},
		{"so many that the count is an entry", freelistFile(freelistPage, manyFree, 2, 5, 6), true},
		{"a page that is in use", freelistFile(freelistPage, 2, 5, 4), false},
		{"the list's own page", freelistFile(freelistPage, 1, 2), false},
		{"a page twice", freelistFile(freelistPage, 2, 5, 5), false},
		{"a page behind the end", freelistFile(freelistPage, 1, 8), false},
		{"a meta page", freelistFile(freelistPage, 1, 1), false},
		{"another type of page", freelistFile(leafPage, 0), false},
		{"more than the page holds", freelistFile(freelistPage, 2000, 5), false},
		{"far more than the page holds", freelistFile(freelistPage, manyFree, 1<<63), false},
	} {
		if err := c.v.free(2); (err == nil) != c.good || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
