package mesh

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// town is a mesh of honest devices that talk to each other now and then.
type town struct {
	*rapid.T
	devices []*device
	folders []shoal.FolderID
}

func (w *town) pick(label string) *device {
	return w.devices[rapid.IntRange(0, len(w.devices)-1).Draw(w.T, label)]
}

// live lets one thing happen. What a device may not do is simply not done.
func (w *town) live() {
	d, o := w.pick("who"), w.pick("whom")
	switch rapid.IntRange(0, 9).Draw(w.T, "what") {
	case 0, 1:
		id := identity(d.tb, fmt.Sprintf("inhabitant %d", len(w.devices)))
		role := rapid.SampledFrom([]Role{RoleOwner, RoleOwner, RoleMember, RoleReader, RoleVault}).Draw(w.T, "role")
		if len(w.devices) < 5 && d.Admit(d.Identity, id.Device(), id.HPKEPublic(), "somebody", role, d.tick()) == nil {
			w.devices = append(w.devices, d.as(fmt.Sprintf("inhabitant %d", len(w.devices))))
		}
	case 2:
		_ = d.Revoke(d.Identity, o.Device(), nil, d.tick(), d.dice)
	case 3:
		_ = d.SetRole(d.Identity, o.Device(), RoleMember, nil, d.tick())
	case 4:
		if f, err := d.AddFolder(d.Identity, "folder", d.tick(), d.dice); err == nil {
			w.folders = append(w.folders, f)
		}
	case 5:
		d.tends()
	default:
		d.learn(o)
	}
}

// settle lets everybody talk with everybody, and tend, until nothing is left to do.
func (w *town) settle() {
	for round := 0; ; round++ {
		made := 0
		for _, d := range w.devices {
			made += d.tends()
		}
		for _, d := range w.devices {
			d.learn(w.devices...)
		}
		for _, d := range w.devices {
			d.learn(w.devices...)
		}
		if made == 0 && round > 0 {
			return
		}
		if round > 12 {
			w.Fatal("devices never stop tending")
		}
	}
}

func settledTown(t *rapid.T, tb testing.TB) *town {
	w := &town{T: t, devices: []*device{newMesh(tb, "ann")}}
	w.folders = append(w.folders, meshScope, w.devices[0].addsFolder("Photos"))
	for range rapid.IntRange(4, 16).Draw(t, "days") {
		w.live()
	}
	w.settle()
	return w
}

func TestDevicesOfTheMeshComeToHaveAllKeysAndOthersNone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := settledTown(rt, t)
		witness := w.writer()
		if witness == nil {
			return // all who could make epochs are out: only the root can help
		}
		for _, d := range w.devices {
			if !slices.Equal(d.Heads(), witness.Heads()) {
				rt.Fatal("devices did not come to know the same")
			}
			for _, f := range w.folders {
				w.checkKeys(witness, d, f)
			}
		}
	})
}

// writer returns a device that is in the mesh and may write.
func (w *town) writer() *device {
	for _, d := range w.devices {
		if info, known := d.State().Device(d.Device()); known && !info.Revoked && info.Role.Writes() {
			return d
		}
	}
	return nil
}

func (w *town) checkKeys(witness, d *device, f shoal.FolderID) {
	want, wantErr := witness.FolderKeys(witness.Identity, f)
	if wantErr != nil {
		return // a folder that counts for nothing
	}
	best, ok := want.Current()
	if !ok {
		w.Fatal("no epoch to write under")
	}
	info, known := witness.State().Device(d.Device())
	got, err := d.FolderKeys(d.Identity, f)
	if known && !info.Revoked && info.Role.Reads() {
		if err != nil {
			w.Fatalf("%s, a %s, lacks the keys of %s: %v", d.name, info.Role, f, err)
		}
		// A reader cannot pass keys on, so one may have an epoch of somebody who is out that no writer has.
		more := len(got.epochs) > len(want.epochs) && !info.Role.Writes()
		if cur, _ := got.Current(); cur != best || len(got.epochs) != len(want.epochs) && !more || got.BlockID != want.BlockID {
			w.Fatalf("%s has %d epochs and writes under %d, another has %d and writes under %d", d.name, len(got.epochs), cur.Number, len(want.epochs), best.Number)
		}
		return
	}
	if err == nil {
		if _, has := got.Epoch(best.ID); has {
			w.Fatalf("%s, who is out, has the epoch that others write under", d.name)
		}
	}
}
