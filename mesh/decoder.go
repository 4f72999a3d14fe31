package mesh

import (
	"bytes"
	"slices"

	"github.com/shoalmesh/shoal"
)

// decoder turns byte strings of a message into fixed-size values and remembers the first that is wrong.
type decoder struct{ err error }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = malformed(format, args...)
	}
}

// fixed returns a value of exactly 32 bytes, not all zero.
func (d *decoder) fixed(field string, b []byte) (v [32]byte) {
	if len(b) != len(v) {
		d.fail("%s of %d bytes", field, len(b))
		return v
	}
	copy(v[:], b)
	if v == ([32]byte{}) {
		d.fail("%s is zero", field)
	}
	return v
}

// optional is fixed, or zero for no bytes.
func (d *decoder) optional(field string, b []byte) (v [32]byte) {
	if len(b) == 0 {
		return v
	}
	return d.fixed(field, b)
}

// folder returns a folder ID; zero, which means the mesh itself, has to be asked for by the caller.
func (d *decoder) folder(field string, b []byte) (f shoal.FolderID) {
	if len(b) != len(f) {
		d.fail("%s of %d bytes", field, len(b))
		return f
	}
	return shoal.FolderID(b)
}

// hashes returns a strictly ascending list.
func (d *decoder) hashes(field string, list [][]byte, limit int) []Hash {
	return decodeList[Hash](d, field, list, limit)
}

func (d *decoder) devices(field string, list [][]byte, limit int) []shoal.DeviceID {
	return decodeList[shoal.DeviceID](d, field, list, limit)
}

func decodeList[T ~[32]byte](d *decoder, field string, list [][]byte, limit int) []T {
	if len(list) > limit {
		d.fail("%d %s, more than %d", len(list), field, limit)
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	out := make([]T, len(list))
	for i, b := range list {
		if i > 0 && bytes.Compare(list[i-1], b) >= 0 {
			d.fail("%s not in ascending order", field)
		}
		out[i] = T(d.fixed(field, b))
	}
	return out
}

func hashBytes[T ~[32]byte](list []T) [][]byte {
	if len(list) == 0 {
		return nil
	}
	out := make([][]byte, len(list))
	for i := range list {
		out[i] = list[i][:]
	}
	return out
}

func compareHash[T ~[32]byte](a, b T) int { return bytes.Compare(a[:], b[:]) }

// sortedSet returns the values of list in ascending order, each once.
func sortedSet[T ~[32]byte](list []T) []T {
	list = slices.Clone(list)
	slices.SortFunc(list, compareHash)
	return slices.Compact(list)
}
