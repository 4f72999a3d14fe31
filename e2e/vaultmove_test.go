//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A vault moves to another machine, with another address: the devices find it there, all that was kept is there, and it never runs at the old place again.
func TestAVaultMovesHouse(t *testing.T) {
	beside(t)
	a, b, old := keptIn(t)
	a.at(t).random("long", 12<<20, 1)
	a.at(t).write("old", "of the old house\n")
	a.wait(t)
	was := old.tenantOf(t, a)
	file := filepath.Join(tempDir(t), "mesh.tar")
	old.exits(t, 1, "vault", "export", "0000", file, "--data", old.Home)
	old.exits(t, 1, "vault", "export", was.Mesh, filepath.Join(filepath.Dir(file), "nowhere", "x"), "--data", old.Home)
	a.at(t).write("meanwhile", "an export that fails stops nothing\n")
	a.wait(t, "--peers", "1")
	old.do(t, "vault", "export", was.Mesh[:8], file, "--data", old.Home)
	info, err := os.Stat(file)
	check(t, err)
	if info.Mode().Perm() != 0o600 || info.Size() < 12<<20 {
		t.Errorf("the archive has mode %o and %d bytes", info.Mode().Perm(), info.Size())
	}
	staysAway(t, old, was.Mesh)
	old.stop(t)
	old.up(t)
	staysAway(t, old, was.Mesh)

	home := newVault(t, "vera")
	home.up(t)
	raw, err := os.ReadFile(file)
	check(t, err)
	bad := filepath.Join(filepath.Dir(file), "bad.tar")
	check(t, os.WriteFile(bad, append(bytes.Clone(raw[:len(raw)/2]), append([]byte{raw[len(raw)/2] ^ 1}, raw[len(raw)/2+1:]...)...), 0o600))
	home.exits(t, 6, "vault", "import", bad, "--data", home.Home)
	home.exits(t, 1, "vault", "import", bad+"x", "--data", home.Home)
	home.do(t, "vault", "import", file, "--data", home.Home)
	home.exits(t, 2, "vault", "import", file, "--data", home.Home) // it is here
	now := home.tenantOf(t, a)
	if now.Device != was.Device || now.State != "ok" || now.Addresses[0] == was.Addresses[0] {
		t.Errorf("it is %+v, was %+v", now, was)
	}
	a.at(t).write("new", "of the new house\n")
	a.wait(t, "--peers", "1")
	want := a.tree(t)
	a.stop(t)
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("what came through the moved vault is not what went in: %q", diff)
	}
	home.stop(t)
	home.up(t)
	if got := home.tenants(t); len(got) != 1 || got[0].State != "ok" {
		t.Errorf("after a start: %+v", got)
	}
}

// staysAway checks that a tenant was sealed off.
func staysAway(t *testing.T, v *device, mesh string) {
	t.Helper()
	eventually(t, "it is sealed off", func() error {
		if got := v.tenants(t); len(got) != 1 || got[0].State != "moved" || got[0].Mesh != mesh || len(got[0].Addresses) != 0 {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	v.do(t, "vault", "health", "--data", v.Home)
}
