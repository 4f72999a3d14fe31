package keeper

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTenantsAreFoundAndWhatNeverWasOneIsCleared(t *testing.T) {
	data := t.TempDir()
	in := func(name string) string { return filepath.Join(data, filepath.FromSlash(name)) }
	write(t, in("roster"), "a roster")
	write(t, in("tenants/0123456789ab/roster"), "a roster")
	write(t, in("tenants/0123456789ab/tenant.json"), `{"slot":3}`)
	write(t, in("tenants/00000000dead/roster"), "a roster")
	write(t, in("tenants/00000000dead/tenant.json"), `nonsense`)
	write(t, in("tenants/ba9876543210/device.key"), "joining was interrupted")
	write(t, in("tenants/ffffffffffff/roster"), "")
	write(t, in("tenants/.vacant-0102030405060708/device.key"), "an invitation that nobody used")
	write(t, in("tenants/0123456789ab.removed-20260101T000000/roster"), "put aside")
	write(t, in("tenants/a file"), "")
	places, err := findPlaces(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range places {
		got = append(got, p.dir)
		if bad := filepath.Base(p.dir) == "00000000dead"; bad != (p.err != nil) {
			t.Errorf("%s: %v", p.dir, p.err)
		}
		if want := map[string]int{"0123456789ab": 3}[filepath.Base(p.dir)]; p.note.Slot != want {
			t.Errorf("%s has slot %d", p.dir, p.note.Slot)
		}
	}
	want := []string{data, in("tenants/00000000dead"), in("tenants/0123456789ab")}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for name, there := range map[string]bool{
		"tenants/ba9876543210": false, "tenants/ffffffffffff": false, "tenants/.vacant-0102030405060708": false,
		"tenants/0123456789ab.removed-20260101T000000": true, "tenants/a file": true,
	} {
		if _, err := os.Stat(in(name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPuttingTheFirstTenantAsideLeavesWhatIsTheVaults(t *testing.T) {
	for _, del := range []bool{false, true} {
		data := t.TempDir()
		for _, name := range []string{"roster", "device.key", "index.db", "packs/1", "events.jsonl", "whole.json", "tenants/0123456789ab/roster"} {
			write(t, filepath.Join(data, name), name)
		}
		p := place{dir: data, root: true}
		aside, err := p.putAside(data, shoal.MeshID{1}, del, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for name, there := range map[string]bool{"roster": false, "packs": false, "events.jsonl": true, "whole.json": true, "tenants/0123456789ab/roster": true} {
			if _, err := os.Stat(filepath.Join(data, name)); (err == nil) != there {
				t.Errorf("delete %v: %s: %v", del, name, err)
			}
		}
		if _, err := os.Stat(filepath.Join(aside, "packs", "1")); (err == nil) == del {
			t.Errorf("delete %v: the packs: %v", del, err)
		}
	}
}

func TestEachTenantListensOnPortsOfItsOwn(t *testing.T) {
	listen := []string{"/ip4/0.0.0.0/tcp/4001", "/ip6/::/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/tcp/65535"}
	if got := listenAt(listen, 0); !slices.Equal(got, listen) {
		t.Errorf("the first: %v", got)
	}
	want := []string{"/ip4/0.0.0.0/tcp/4007", "/ip6/::/udp/4007/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/tcp/0"}
	if got := listenAt(listen, 3); !slices.Equal(got, want) {
		t.Errorf("the fourth: %v, want %v", got, want)
	}
	bound := []string{"/ip4/10.0.0.1/tcp/5555/p2p/x", "/ip6/::1/udp/6666/quic-v1/p2p/x"}
	want = []string{"/ip4/0.0.0.0/tcp/5555", "/ip4/0.0.0.0/tcp/4001", "/ip6/::/udp/6666/quic-v1", "/ip6/::/tcp/0"}
	if got := pinned([]string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/tcp/4001", "/ip6/::/udp/0/quic-v1", "/ip6/::/tcp/0"}, bound); !slices.Equal(got, want) {
		t.Errorf("pinned: %v, want %v", got, want)
	}
}

// FuzzNote: a note is refused, or is in range and the same after it was saved.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"slot":3}`))
	f.Add([]byte(`{"slot":1,"moved":"2026-11-22T00:00:00Z"}`))
	f.Add([]byte(`{"slot":-1}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := parseNote(raw)
		if err != nil {
			return
		}
		if n.Slot < 0 || n.Slot > 2*maxTenants {
			t.Fatalf("slot %d", n.Slot)
		}
		again, err := json.Marshal(&n)
		if err != nil {
			t.Skip("a time that JSON can't hold")
		}
		if back, err := parseNote(again); err != nil || back.Slot != n.Slot || !back.Moved.Equal(n.Moved) {
			t.Fatalf("%+v, %v", back, err)
		}
	})
}
