package mesh

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shoalmesh/shoal"
)

// MaxNameBytes is the longest name of a device or folder.
const MaxNameBytes = 128

// namePadding hides the length of names from vaults, up to a multiple of it.
const namePadding = 32

// ValidateName tells whether a device or folder may have this name: UTF-8, 1 to MaxNameBytes bytes, no control characters, no
// space at its ends. The error wraps shoal.ErrInvalid.
func ValidateName(name string) error {
	switch {
	case name == "" || len(name) > MaxNameBytes:
		return fmt.Errorf("name of %d bytes: %w", len(name), shoal.ErrInvalid)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("name %q with characters that no name has: %w", name, shoal.ErrInvalid)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("name %q with space at its end: %w", name, shoal.ErrInvalid)
	}
	return nil
}

// sealName seals a name under the names key of an epoch of the mesh itself. subject is what is named, so that a sealed name
// does not pass for the name of something else.
func sealName(m shoal.MeshID, epoch shoal.EpochID, root [32]byte, subject []byte, name string) sealedName {
	padded := make([]byte, (len(name)+namePadding-1)/namePadding*namePadding)
	copy(padded, name)
	key := derive(contextNamesKey, root[:])
	return sealedName{epoch: epoch, box: sealBox(key, nameContext(m, epoch, subject), padded)}
}

// openName is the inverse of sealName. A box that opens to no valid name is an error too.
func openName(m shoal.MeshID, root [32]byte, subject []byte, n sealedName) (string, error) {
	key := derive(contextNamesKey, root[:])
	padded, err := openBox(key, nameContext(m, n.epoch, subject), n.box)
	if err != nil {
		return "", fmt.Errorf("open name: %w", err)
	}
	name := strings.TrimRight(string(padded), "\x00")
	return name, ValidateName(name)
}

func nameContext(m shoal.MeshID, epoch shoal.EpochID, subject []byte) []byte {
	b := append([]byte("shoal/name/v1\x00"), m[:]...)
	b = append(b, epoch[:]...)
	return append(b, subject...)
}

// uniqueNames hands out each name once: the second "laptop" becomes "laptop-2".
type uniqueNames map[string]bool

func (u uniqueNames) take(name string) string {
	unique := name
	for n := 2; u[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	u[unique] = true
	return unique
}
