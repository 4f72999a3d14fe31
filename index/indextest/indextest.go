// Package indextest makes an index in memory for tests of those who stand on it.
package indextest

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// Device is the only device of a mesh with one folder.
type Device struct {
	Self   shoal.DeviceID
	Folder *index.Folder
	Keys   *block.Keys
}

// New makes a mesh, its folder and an empty index. The same calls make the same keys.
func New(t testing.TB, clock func() time.Time) *Device {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	chance := rand.NewChaCha8([32]byte{1})
	phrase, err := mesh.NewPhrase(bytes.Repeat([]byte{7}, 32))
	must(err)
	root, err := mesh.RootFromPhrase(phrase)
	must(err)
	id, err := mesh.NewIdentity(chance)
	must(err)
	roster, err := mesh.Create(root, id, "laptop", chance, clock())
	must(err)
	folder, err := roster.AddFolder(id, "docs", clock(), chance)
	must(err)
	keys, err := roster.FolderKeys(id, folder)
	must(err)
	f, err := index.OpenMemory(index.Options{Clock: clock, Rand: chance}).Folder(folder, index.FolderConfig{
		Mesh: roster.Mesh(), Identity: id, Keys: func() *mesh.FolderKeys { return keys }, Roster: roster.State,
	})
	must(err)
	return &Device{Self: id.Device(), Folder: f, Keys: &block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}}
}
