package welcome

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

func TestHandoverVectors(t *testing.T) {
	f, err := os.Open("testdata/handover.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		part := strings.Split(lines.Text(), "\t")
		if len(part) != 3 {
			t.Fatalf("%q", lines.Text())
		}
		n++
		var err error
		if part[0] == "offer" {
			_, err = ParseOffer([]byte(part[1]))
		} else {
			_, _, err = Parse([]byte(part[1]))
		}
		if part[2] == "ok" && err != nil || part[2] != "ok" && (err == nil || !strings.Contains(err.Error(), part[2])) {
			t.Errorf("%s: %v", lines.Text(), err)
		}
	}
	if n == 0 {
		t.Fatal("no vectors")
	}
}

// pipe is a stream without a network.
type pipe struct{ net.Conn }

func (p pipe) Reset() error      { return p.Close() }
func (p pipe) CloseWrite() error { return nil }

func streams(t *testing.T) (a, b p2p.Stream) {
	x, y := net.Pipe()
	for _, c := range []net.Conn{x, y} {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return pipe{x}, pipe{y}
}

// household is a mesh with an owner, and a vault that may be in it.
func household(t *testing.T, role mesh.Role) (r *mesh.Roster, owner, vault *mesh.Identity) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	owner, err = mesh.NewIdentity(rand.Reader)
	must(err)
	vault, err = mesh.NewIdentity(rand.Reader)
	must(err)
	words, err := mesh.NewPhrase(make([]byte, 32))
	must(err)
	root, err := mesh.RootFromPhrase(words)
	must(err)
	r, err = mesh.Create(root, owner, "ann", rand.Reader, time.Now())
	must(err)
	if role != 0 {
		must(r.Admit(owner, vault.Device(), vault.HPKEPublic(), "vera", role, time.Now()))
	}
	return r, owner, vault
}

func TestAMeshIsHandedOverByAnOwnerThatAdmittedTheVault(t *testing.T) {
	for name, tt := range map[string]struct {
		role  mesh.Role
		giver func(owner, vault *mesh.Identity) shoal.DeviceID
		want  string // in the refusal; empty: taken
	}{
		"taken":              {mesh.RoleVault, func(o, _ *mesh.Identity) shoal.DeviceID { return o.Device() }, ""},
		"not admitted":       {0, func(o, _ *mesh.Identity) shoal.DeviceID { return o.Device() }, "does not admit"},
		"admitted as member": {mesh.RoleMember, func(o, _ *mesh.Identity) shoal.DeviceID { return o.Device() }, "does not admit"},
		"by a stranger":      {mesh.RoleVault, func(o, _ *mesh.Identity) shoal.DeviceID { return shoal.DeviceID{9} }, "owner"},
		"by the vault":       {mesh.RoleVault, func(_, v *mesh.Identity) shoal.DeviceID { return v.Device() }, "owner"},
	} {
		t.Run(name, func(t *testing.T) {
			r, owner, vault := household(t, tt.role)
			raw, err := json.Marshal(Welcome{Statements: r.Statements()})
			if err != nil {
				t.Fatal(err)
			}
			device, waiting := streams(t)
			took := make(chan error, 1)
			go func() { // ends with the stream
				took <- Take(waiting, func(_ Welcome, got *mesh.Roster) error { return ForVault(got, vault.Device(), tt.giver(owner, vault)) })
			}()
			err = Give(device, raw)
			_ = device.Close()
			if taken := <-took; (taken == nil) != (tt.want == "") {
				t.Errorf("the vault has %v", taken)
			}
			var refused *RefusedError
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

func TestWhatAVaultSaysIsShownWithoutControlCharacters(t *testing.T) {
	device, waiting := streams(t)
	go func() { // ends with the stream
		_, _ = p2p.ReadFrame(waiting, MaxSize)
		_ = p2p.WriteFrame(waiting, []byte(`{"refused":"no\u001b[2J room\r\n"}`))
	}()
	err := Give(device, []byte("{}"))
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\r\n") {
		t.Errorf("%q", err)
	}
}
