//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// star makes two devices that each have a cable to a vault and none to each other. Both know the vault, and do not run.
func star(t *testing.T, options ...option) (a, b, v *device, net *lab.Network) {
	t.Helper()
	net = network(t, 3)
	place := func(space int) []option { return append([]option{in(net, space)}, options...) }
	v, a, b = newVault(t, "vera", place(0)...), newDevice(t, "anna", place(1)...), newDevice(t, "ben", place(2)...)
	a.up(t)
	join(t, a, v)
	join(t, a, b)
	a.wait(t)
	b.wait(t)
	b.stop(t)
	a.stop(t)
	check(t, net.Cut(1, 2))
	return a, b, v, net
}

func TestDevicesThatReachOnlyTheVaultAndNeverAtOnceAreTheSame(t *testing.T) {
	t.Parallel()
	a, b, v, _ := star(t, quiet)
	d := a.at(t)
	if *long {
		check(t, lab.CopyTree(filepath.Join(goroot(t), "src"), d.root))
	} else {
		check(t, lab.SmallFiles(d.root, 400, 100, 8*kib, 1))
	}
	d.write(markFolder+"/"+markFile+".txt", markContent+"\n")
	d.write("clash", "before\n")
	began := time.Now()
	a.up(t)
	a.wait(t)
	t.Logf("the vault has it after %v", time.Since(began).Round(time.Millisecond))
	want := a.tree(t)
	a.stop(t)
	began = time.Now()
	b.up(t)
	b.wait(t)
	t.Logf("the other device has it after %v", time.Since(began).Round(time.Millisecond))
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Fatalf("what came through the vault is not what went in: %q", diff[:min(20, len(diff))])
	}

	b.at(t).replace("clash", "what ben wrote\n")
	b.wait(t)
	b.stop(t)
	a.at(t).replace("clash", "what anna wrote\n")
	a.up(t)
	a.wait(t)
	want = a.tree(t)
	if copies := a.at(t).copies("clash"); len(copies) != 1 {
		t.Errorf("copies of the file that both changed: %q, want one", copies)
	}
	a.stop(t)
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("a conflict is shown in two ways: %q", diff)
	}
	v.stop(t)
	for _, mark := range []string{markContent, markFile, markFolder, "what ben wrote"} {
		for _, name := range filesWith(t, v.Home, mark) {
			t.Errorf("the vault's %s says %q", name, mark)
		}
	}
}

// The vault stays, but its own port cannot be reached any more: only the hash table that it serves.
func TestADeviceThatReachesOnlyTheHashTableLearnsWhoHasSomethingNewer(t *testing.T) {
	t.Parallel()
	a, b, _, net := star(t, func(d *lab.Device) { d.DHT = true })
	if err := net.Block(2, 4001); err != nil {
		t.Skipf("needs nftables: %v", err)
	}
	a.up(t)
	a.at(t).write("newer", "what anna wrote\n")
	a.wait(t)
	a.stop(t)
	b.up(t)
	eventually(t, "the one that is alone names who has something newer", func() error {
		s := b.status(t)
		for _, p := range s.Devices {
			if p.Connected {
				t.Fatalf("%s is connected: the test shows nothing", p.Name)
			}
		}
		for _, p := range s.Problems {
			if p.Kind == "unreached" && strings.Contains(p.Message, a.Name) {
				return nil
			}
		}
		return fmt.Errorf("the problems are %+v", s.Problems)
	})
	events, err := b.Events(within(t))
	check(t, err)
	seen := 0
	for _, e := range events {
		if e.Kind == "seen" && e.Device == a.Name {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("it was told %d times, want once", seen)
	}
}

// street is two devices behind a router each, and a vault outside that has room for records only: what the two have goes from one to the
// other. The devices do not run yet.
type street struct {
	*lab.Homes
	a, b, v *device
}

func newStreet(t *testing.T, natA, natB lab.NAT) *street {
	t.Helper()
	homes, err := lab.NewHomes(natA, natB)
	if errors.Is(err, lab.ErrNoNetwork) {
		t.Skipf("needs network namespaces with NAT: %v", err)
	}
	check(t, err)
	t.Cleanup(func() { check(t, homes.Close()) })
	open := func(port int) option {
		return func(d *lab.Device) { d.Space, d.Listen = homes.Outside(), fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port) }
	}
	s := &street{Homes: homes, v: newVault(t, "vera", open(4001), func(d *lab.Device) {
		d.Flags = append(d.Flags, "--listen", "/ip4/0.0.0.0/udp/4001/quic-v1")
	}), a: newDevice(t, "anna", open(4002)), b: newDevice(t, "ben", open(4003))}
	s.a.up(t)
	join(t, s.a, s.v)
	s.v.do(t, "vault", "quota", "1", "--data", s.v.Home)
	join(t, s.a, s.b)
	s.a.wait(t)
	s.b.wait(t)
	for i, d := range []*device{s.a, s.b} { // they go home
		d.stop(t)
		d.Space, d.Listen = homes.Inside(i), "/ip4/0.0.0.0/tcp/4001"
		d.Flags = append(d.Flags, "--listen", "/ip4/0.0.0.0/udp/4001/quic-v1")
	}
	return s
}

// transport returns how a device is connected with another.
func (d *device) transport(t *testing.T, other *device) string {
	t.Helper()
	for _, p := range d.status(t).Devices {
		if p.Name == other.Name && p.Connected {
			return p.Transport
		}
	}
	return ""
}

// connects waits until both devices are connected that way.
func (s *street) connects(t *testing.T, want string) {
	t.Helper()
	eventually(t, "the devices are connected: "+want, func() error {
		if here, there := s.a.transport(t, s.b), s.b.transport(t, s.a); here != want || there != want {
			return fmt.Errorf("they are connected %q and %q", here, there)
		}
		return nil
	})
}

func TestTwoHomesAreConnectedDirectlyWhereTheirRoutersAllowItAndElseThroughTheVault(t *testing.T) {
	if !*long {
		t.Skip("only with -long: several programs behind routers, a quarter of a minute")
	}
	for _, c := range []struct {
		name, transport string
		nat             lab.NAT
	}{
		{"port-restricted routers", "direct", lab.PortRestricted},
		{"symmetric routers", "relay", lab.Symmetric},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, c.nat, c.nat)
			s.a.up(t)
			s.b.up(t)
			s.connects(t, c.transport)
			s.a.at(t).random("some blocks", 6*mib, 1)
			settle(t, s.a, s.b)
			if got := s.b.transport(t, s.a); got != c.transport {
				t.Errorf("after the transfer they are connected %q", got)
			}
		})
	}
}

func TestATransferThatBeganThroughTheVaultGoesOnOverADirectConnection(t *testing.T) {
	if !*long {
		t.Skip("only with -long: several programs behind routers, a quarter of a minute")
	}
	t.Parallel()
	s := newStreet(t, lab.PortRestricted, lab.PortRestricted)
	size := choose[int64](96*mib, 1*gib)
	s.a.at(t).random("long", size, 3)
	s.a.up(t)
	s.a.wait(t, "--peers", "0")
	check(t, s.Part())
	check(t, s.SlowOutside(80)) // what goes through the vault: the rest of the transfer takes longer than the switch
	s.b.up(t)
	s.connects(t, "relay")
	eventually(t, "the transfer has begun", func() error {
		if got := fetched(t, s.b); got < 1*mib {
			return fmt.Errorf("%d bytes are here", got)
		}
		return nil
	})
	if got := fetched(t, s.b); got >= size {
		t.Fatalf("%d bytes came before the direct way was opened: the test shows nothing", got)
	}
	check(t, s.Meet())
	s.connects(t, "direct")
	t.Logf("%d of %d bytes were here when the connection became direct", fetched(t, s.b), size)
	settle(t, s.a, s.b)
	for _, d := range []*device{s.a, s.b} {
		events, err := d.Events(within(t))
		check(t, err)
		for _, e := range events {
			if e.Kind == "problem" && !strings.Contains(e.Message, "quota") {
				t.Errorf("%s: %s %s", d.Name, e.Device, e.Message)
			}
		}
	}
}

// fetched counts the bytes of what a device is fetching, or has.
func fetched(t *testing.T, d *device) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(d.Dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info unix.Stat_t
			if unix.Stat(name, &info) == nil {
				sum += info.Blocks * 512 // files that are being fetched have their full size, with holes
			}
		}
		return nil // it may go while it is looked at
	})
	check(t, err)
	return sum
}

func TestHowFastTheVaultRelays(t *testing.T) {
	if !*long {
		t.Skip("a measurement, for long runs")
	}
	a, b, v, _ := star(t, quiet)
	v.do(t, "vault", "quota", "1", "--data", v.Home)
	const size = 2 * gib
	a.at(t).random("big", size, 5)
	a.up(t)
	a.wait(t, "--peers", "0")
	b.up(t)
	began := time.Now()
	eventually(t, "all of it is there", func() error {
		if f := b.folder(t); f.Bytes < size {
			return fmt.Errorf("%d bytes are there", f.Bytes)
		}
		return nil
	})
	took := time.Since(began)
	if got := b.transport(t, a); got != "relay" {
		t.Errorf("they are connected %q", got)
	}
	t.Logf("%d MiB through the relay in %v: %.0f MB/s, sealed, checked and written", size/mib, took.Round(time.Millisecond), float64(size)/1e6/took.Seconds())
}
