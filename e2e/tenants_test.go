//go:build linux

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tenant is what `vault tenants --json` says of one tenant.
type tenant struct {
	Mesh, State, Problem, Data, Device string
	Addresses, DHT                     []string
	Used                               int64 `json:"used_bytes"`
	Quota                              int64 `json:"quota_bytes"`
	Folders                            []struct{ Blocks, Lacking int64 }
}

func (d *device) tenants(t *testing.T) []tenant {
	t.Helper()
	var out []tenant
	d.read(t, &out, "vault", "tenants", "--json", "--data", d.Home)
	return out
}

// tenantOf returns the tenant that keeps the mesh of an owner.
func (d *device) tenantOf(t *testing.T, owner *device) tenant {
	t.Helper()
	for _, p := range owner.status(t).Devices {
		for _, x := range d.tenants(t) {
			if x.Device == p.ID {
				return x
			}
		}
	}
	t.Fatalf("no tenant is of %s", owner.Name)
	return tenant{}
}

// read runs a command and decodes the JSON that it prints.
func (d *device) read(t *testing.T, into any, args ...string) {
	t.Helper()
	check(t, json.Unmarshal([]byte(d.do(t, args...)), into))
}

// vaultTicket has an owner's device or a vault's operator make a ticket.
func (d *device) vaultTicket(t *testing.T, args ...string) string {
	t.Helper()
	var invite struct{ Ticket string }
	d.read(t, &invite, append(args, "--json")...)
	return invite.Ticket
}

// Three meshes come to one vault, each in its own way: with the first start, with a ticket of an owner, and with a ticket of the vault's operator. They
// share nothing: not the device, not the port, not a byte of what is kept.
func TestOneVaultKeepsManyMeshes(t *testing.T) {
	beside(t)
	v := newVault(t, "vera")
	owners := []*device{newDevice(t, "anna"), newDevice(t, "ben"), newDevice(t, "cleo")}
	for i, d := range owners {
		d.up(t)
		d.at(t).random("file", 3<<20, uint64(i))
	}
	v.up(t) // it may run before it keeps anything
	if got := v.tenants(t); len(got) != 0 {
		t.Fatalf("a new vault keeps %v", got)
	}
	v.do(t, "vault", "tenants", "add", owners[0].vaultTicket(t, "invite", "--role", "vault", "--yes"), "--data", v.Home)
	v.do(t, "vault", "tenants", "add", owners[1].vaultTicket(t, "invite", "--role", "vault", "--yes"), "--quota", "64M", "--data", v.Home)
	ticket := v.vaultTicket(t, "vault", "invite", "--quota", "32M", "--expires", "1h", "--data", v.Home)
	if r := owners[2].exits(t, 2, "invite", "--role", "nonsense"); r.Stdout != "" {
		t.Error(r)
	}
	owners[2].do(t, "devices", "add-vault", ticket)
	owners[0].exits(t, 5, "devices", "add-vault", ticket) // it is used up
	for _, d := range owners {
		d.wait(t, "--peers", "1")
	}
	list := v.tenants(t)
	if len(list) != 3 {
		t.Fatalf("%d tenants: %+v", len(list), list)
	}
	seen := map[string]bool{}
	for i, x := range list {
		if x.State != "ok" || x.Problem != "" || x.Used < 3<<20 {
			t.Errorf("tenant %d: %+v", i, x)
		}
		for _, id := range append([]string{x.Mesh, x.Device, x.Data}, x.Addresses...) {
			if seen[id] {
				t.Errorf("two tenants have %s", id)
			}
			seen[id] = true
		}
	}
	if list[1].Quota != 64<<20 || list[2].Quota != 32<<20 {
		t.Errorf("quotas %d and %d", list[1].Quota, list[2].Quota)
	}
	keptApart(t, owners, list)

	// All are there after a restart, and the devices find each its own.
	v.stop(t)
	v.up(t)
	for i, d := range owners {
		d.at(t).random("later", 1<<20, uint64(10+i))
		d.wait(t, "--peers", "1")
	}
	theRemovedIsGone(t, v, owners)
}

// keptApart checks that what one tenant's folder says of a mesh is in no other's.
func keptApart(t *testing.T, owners []*device, list []tenant) {
	t.Helper()
	for i, x := range list {
		for j, y := range list {
			if i == j {
				continue
			}
			for _, mark := range []string{x.Mesh, x.Device, owners[i].status(t).Device.ID} {
				if found := filesWith(t, y.Data, mark); len(found) > 0 {
					t.Errorf("%q of tenant %d stands in %v", mark, i, found)
				}
			}
		}
		for _, p := range owners[i].status(t).Devices {
			if p.Role == "vault" && p.ID != x.Device {
				t.Errorf("%s knows vault %s, and its tenant is %s", owners[i].Name, p.ID, x.Device)
			}
		}
	}
}

// theRemovedIsGone ends the keeping of one mesh, with and without its data; the others go on.
func theRemovedIsGone(t *testing.T, v *device, owners []*device) {
	t.Helper()
	list := make([]tenant, len(owners))
	for i, d := range owners {
		list[i] = v.tenantOf(t, d)
	}
	v.exits(t, 1, "vault", "tenants", "remove", "0000", "--data", v.Home)
	v.exits(t, 5, "vault", "tenants", "remove", list[0].Mesh, "--delete-data", "--data", v.Home) // nobody said yes
	v.do(t, "vault", "tenants", "remove", list[0].Mesh[:8], "--data", v.Home)
	v.do(t, "vault", "tenants", "remove", list[1].Mesh, "--delete-data", "--yes", "--data", v.Home)
	if left := v.tenants(t); len(left) != 1 || left[0].Mesh != list[2].Mesh {
		t.Fatalf("left are %+v", left)
	}
	aside, err := filepath.Glob(filepath.Join(v.Home, "tenants", list[0].Mesh[:12]+".removed-*", "packs"))
	check(t, err)
	if len(aside) != 1 {
		t.Errorf("what was kept is not put aside: %v", aside)
	}
	if gone, _ := filepath.Glob(filepath.Join(v.Home, "tenants", list[1].Mesh[:12]+"*")); len(gone) != 0 {
		t.Errorf("what should be deleted is there: %v", gone)
	}
	owners[2].at(t).random("last", 1<<20, 99)
	owners[2].wait(t, "--peers", "1")
}

// twoTenants makes a vault of two meshes; the first lives in the data folder itself, as it did before vaults kept several.
func twoTenants(t *testing.T) (a, b, v *device) {
	t.Helper()
	a, b, v = newDevice(t, "anna"), newDevice(t, "ben"), newVault(t, "vera")
	a.up(t)
	b.up(t)
	join(t, a, v)
	v.do(t, "vault", "tenants", "add", b.vaultTicket(t, "invite", "--role", "vault", "--yes"), "--data", v.Home)
	a.wait(t, "--peers", "1")
	b.wait(t, "--peers", "1")
	return a, b, v
}

func TestTheTroubleOfOneTenantDoesNotStopTheOthers(t *testing.T) {
	beside(t)
	a, b, v := twoTenants(t)
	list := v.tenants(t)
	v.exits(t, 2, "vault", "quota", "1M", "--data", v.Home) // whose?
	v.do(t, "vault", "quota", list[1].Mesh[:8], "1M", "--data", v.Home)
	b.at(t).random("too much", 8<<20, 1)
	b.wait(t, "--peers", "0")
	eventually(t, "ben's device tells of the quota", func() error { return tells(b.status(t).Problems, "quota") })
	a.at(t).random("enough", 4<<20, 2)
	a.wait(t, "--peers", "1")

	// A database that can't be read: that tenant does not run, and is named; the other does.
	v.stop(t)
	path := filepath.Join(list[1].Data, "index.db")
	check(t, os.WriteFile(path, []byte(strings.Repeat("this is no database ", 4096)), 0o600))
	v.up(t)
	eventually(t, "the tenant is named", func() error {
		now := v.tenants(t)
		if len(now) != 2 || now[0].State != "ok" || now[1].State != "failed" || !strings.Contains(now[1].Problem, "database") || now[1].Mesh != list[1].Mesh {
			return fmt.Errorf("%+v", now)
		}
		return tells(v.status(t).Problems, "tenant")
	})
	a.at(t).random("goes on", 1<<20, 3)
	a.wait(t, "--peers", "1")
}

func TestOneQuotaBoundsAllTenantsTogether(t *testing.T) {
	beside(t)
	a, b, v := twoTenants(t)
	v.do(t, "vault", "quota", "--all", "6M", "--data", v.Home)
	a.at(t).random("four", 4<<20, 1)
	a.wait(t, "--peers", "1")
	b.at(t).random("four more", 4<<20, 2)
	b.wait(t, "--peers", "0")
	eventually(t, "ben's device tells of the quota", func() error { return tells(b.status(t).Problems, "quota") })
	sum := int64(0)
	for _, x := range v.tenants(t) {
		sum += x.Used
	}
	if sum > 6<<20 {
		t.Errorf("%d bytes are kept, 6 MiB were allowed", sum)
	}
	v.do(t, "vault", "quota", "--all", "0", "--data", v.Home)
	b.wait(t, "--peers", "1")
}

// tells returns an error unless one of the problems is of a kind.
func tells[P ~[]E, E any](problems P, kind string) error {
	raw, err := json.Marshal(problems)
	if err == nil && !strings.Contains(strings.ToLower(string(raw)), `"kind":"`+kind+`"`) {
		err = errors.New("no problem of kind " + kind)
	}
	return err
}
