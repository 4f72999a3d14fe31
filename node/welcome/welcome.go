package welcome

import (
	"encoding/json"
	"fmt"

	"github.com/shoalmesh/shoal/mesh"
)

// MaxSize bounds an encoded welcome, in bytes; as pairing does.
const MaxSize = 64 << 20

// Welcome is what a new device gets from the one that admitted it.
type Welcome struct {
	Statements [][]byte            `json:"statements"` // the whole roster
	Folder     string              `json:"folder"`     // the mesh's default folder; empty: none
	Addresses  map[string][]string `json:"addresses"`  // where the other devices were last seen
}

// Parse reads a welcome, and the roster in it, which is checked by its own signatures. Errors: it makes no sense.
func Parse(raw []byte) (Welcome, *mesh.Roster, error) {
	var w Welcome
	if len(raw) > MaxSize {
		return w, nil, fmt.Errorf("welcome of %d bytes: %w", len(raw), errMalformed)
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return w, nil, fmt.Errorf("read what the inviter gave: %w", err)
	}
	r, err := Roster(w.Statements)
	return w, r, err
}

// Roster makes a roster of the statements that another device gave.
func Roster(statements [][]byte) (*mesh.Roster, error) {
	r := mesh.NewRoster()
	for _, st := range statements {
		if _, err := r.Add(st); err != nil {
			return nil, fmt.Errorf("read the roster: %w", err)
		}
	}
	return r, nil
}
