package vault

import (
	"bytes"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// people are the identities of a mesh, made once: keys are slow to make.
type people struct {
	ids        []*mesh.Identity // the first two are devices, the others vaults
	mesh       shoal.MeshID
	folder     shoal.FolderID
	statements [][]byte
	keys       []*mesh.FolderKeys // of the devices
}

const vaults = 4

var thePeople = sync.OnceValues(func() (*people, error) {
	chance := mathrand.NewChaCha8([32]byte{1})
	phrase, err := mesh.NewPhrase(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		return nil, err
	}
	root, err := mesh.RootFromPhrase(phrase)
	if err != nil {
		return nil, err
	}
	p := &people{}
	for range 2 + vaults {
		id, err := mesh.NewIdentity(chance)
		if err != nil {
			return nil, err
		}
		p.ids = append(p.ids, id)
	}
	now := time.Unix(1_700_000_000, 0)
	r, err := mesh.Create(root, p.ids[0], "ann", chance, now)
	if err != nil {
		return nil, err
	}
	p.mesh = r.Mesh()
	if p.folder, err = r.AddFolder(p.ids[0], "docs", now, chance); err != nil {
		return nil, err
	}
	for i, id := range p.ids[1:] {
		role := mesh.RoleVault
		if i == 0 {
			role = mesh.RoleMember
		}
		if err := r.Admit(p.ids[0], id.Device(), id.HPKEPublic(), fmt.Sprintf("device-%d", i+1), role, now); err != nil {
			return nil, err
		}
	}
	for _, id := range p.ids[:2] {
		k, err := r.FolderKeys(id, p.folder)
		if err != nil {
			return nil, err
		}
		p.keys = append(p.keys, k)
	}
	p.statements = r.Statements()
	return p, nil
})

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func rosterOf(t *testing.T, p *people) *mesh.Roster {
	t.Helper()
	r := mesh.NewRoster()
	for _, raw := range p.statements {
		_, err := r.Add(raw)
		must(t, err)
	}
	return r
}
