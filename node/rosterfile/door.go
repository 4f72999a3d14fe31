package rosterfile

import (
	"context"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// RecoveryDoor lets the holder of the mesh's words get its roster, and take part; it is a p2p.RecoverySource.
type RecoveryDoor struct {
	Store *Store
	Grew  func() // called when statements were added
}

// Roster returns all statements if root is the mesh's.
func (d RecoveryDoor) Roster(root shoal.DeviceID) (statements [][]byte, known bool) {
	d.Store.View(func(r *mesh.Roster) {
		if known = r.Root() == root; known {
			statements = r.Statements()
		}
	})
	return statements, known
}

// Take adds statements; they are durable when it returns nil.
func (d RecoveryDoor) Take(_ context.Context, _ shoal.DeviceID, statements [][]byte) error {
	grew, err := d.Store.Add(statements)
	if grew {
		d.Grew()
	}
	return err
}
