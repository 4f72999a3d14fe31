package rendezvous

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

func identity(t testing.TB) *mesh.Identity {
	t.Helper()
	id, err := mesh.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func addr(s string) ma.Multiaddr { return ma.StringCast(s) }

// table is a hash table of a few serving hosts on loopback.
func table(t testing.TB, size int) []*second {
	t.Helper()
	var all []*second
	for range size {
		var entries []peer.AddrInfo
		if len(all) > 0 {
			entries = []peer.AddrInfo{{ID: all[0].net.ID(), Addrs: all[0].net.Addrs()}}
		}
		s, err := openSecond(hostOptions{
			listen: []string{"/ip4/127.0.0.1/tcp/0"}, serve: true, clock: time.Now, entries: func() []peer.AddrInfo { return entries },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		if len(all) > 0 {
			if err := s.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, s)
	}
	if size > 1 { // the first learns of the others when they have introduced themselves
		within(t, time.Minute, "the first host knows somebody", func() bool { return all[0].dht.RoutingTable().Size() > 0 })
	}
	return all
}

// within waits until cond holds, and fails when that takes longer than d.
func within(t testing.TB, d time.Duration, what string, cond func() bool) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(d)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// party is a device of a mesh with a secret, that enters through the first host of a table.
type party struct {
	*Service
	id     *mesh.Identity
	found  chan *Sighting
	mu     sync.Mutex
	addrs  []ma.Multiaddr
	note   []byte
	absent map[shoal.DeviceID]bool
	now    func() time.Time
}

func newParty(t testing.TB, secret Secret, entry []ma.Multiaddr, clock func() time.Time) *party {
	p := &party{id: identity(t), found: make(chan *Sighting, 16), now: clock}
	p.Service = New(Config{
		Identity: p.id, Bootstrap: entry, Clock: func() time.Time { return p.now() }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		After: func(d time.Duration) <-chan time.Time { return time.After(d / fast) },
		Told: func() ([]ma.Multiaddr, []byte) {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.addrs, p.note
		},
		Secrets: func() []Secret { return []Secret{secret} },
		Missing: func() map[shoal.DeviceID]bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.absent
		},
		Found:   func(s *Sighting) { p.found <- s },
		Entered: func([]ma.Multiaddr) {},
	})
	return p
}

func (p *party) start(t testing.TB) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// fast is how much faster the clocks of parties run than others.
const fast = 1000

// quick makes a clock whose minutes last a moment.
func quick() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(fast * time.Since(began)) }
}

func TestADeviceThatIsAloneLearnsWhatAnotherLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("a hash table")
	}
	t.Parallel()
	servers := table(t, 4)
	secret := Secret{1, 2, 3}
	clock := quick()
	a, b := newParty(t, secret, servers[0].addrs(), clock), newParty(t, secret, servers[1].addrs(), clock)
	b.addrs, b.note = []ma.Multiaddr{addr("/ip4/192.0.2.1/tcp/4001")}, []byte("index heads")
	b.start(t)
	a.absent = map[shoal.DeviceID]bool{b.id.Device(): true}
	a.start(t)
	select {
	case s := <-a.found:
		if s.Device != b.id.Device() || string(s.Note) != "index heads" || len(s.Addrs) != 1 || s.Addrs[0].String() != "/ip4/192.0.2.1/tcp/4001" {
			t.Fatalf("%+v", s)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it was not found")
	}
	// What changes is told, and found by who still looks.
	b.mu.Lock()
	b.note = []byte("newer")
	b.mu.Unlock()
	b.Poke()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	late := time.After(3 * time.Minute)
	for {
		select {
		case s := <-a.found:
			if string(s.Note) == "newer" {
				return
			}
		case <-again.C:
			a.Anew() // as if the network of a changed
			b.Poke() // timers run by the real clock
		case <-late:
			t.Fatal("the change was not found")
		}
	}
}

func TestADeviceThatGoesLeavesWhatItHasNotTold(t *testing.T) {
	t.Parallel()
	servers := table(t, 2)
	secret, now := Secret{1}, time.Now()
	p := newParty(t, secret, servers[0].addrs(), func() time.Time { return now }) // records settle for some seconds: never
	p.note = []byte("newer")
	run := func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.part(ctx)
	}
	run()
	k := NewKey(secret, p.id.Device(), DayOf(now))
	raw, err := servers[1].get(t.Context(), k.Name)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Open(k, raw); err != nil || string(s.Note) != "newer" {
		t.Fatalf("%+v, %v", s, err)
	}
	// What was told is not told again, and nobody waits for a table that does not answer.
	now = now.Add(time.Second)
	run()
	p.note = []byte("newest")
	p.plan.failures = 1
	run()
	if again, err := servers[1].get(t.Context(), k.Name); err != nil || string(again) != string(raw) {
		t.Fatalf("another record was left, or %v", err)
	}
	p.end()
}

func TestRecordsOfForeignersAreNotFound(t *testing.T) {
	t.Parallel()
	servers := table(t, 2)
	id, now := identity(t), time.Now()
	k := NewKey(Secret{1}, id.Device(), DayOf(now))
	raw, err := Seal(id, k, Sighting{TimeMS: now.UnixMilli()}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := servers[1].put(t.Context(), k.Name, raw); err != nil {
		t.Fatal(err)
	}
	if got, err := servers[0].get(t.Context(), k.Name); err != nil || string(got) != string(raw) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	other := NewKey(Secret{2}, id.Device(), DayOf(now))
	if _, err := servers[0].get(t.Context(), other.Name); !errors.Is(err, ErrNotFound) {
		t.Fatalf("under another secret: %v", err)
	}
	raw[100] ^= 1
	if err := servers[1].put(t.Context(), k.Name, raw); err == nil {
		t.Fatal("a forged record was left")
	}
}

func TestProvidersOfARootAreFound(t *testing.T) {
	t.Parallel()
	servers := table(t, 3)
	root := [32]byte{7}
	if err := servers[1].provide(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	found, err := servers[2].providers(t.Context(), root)
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if _, id := peer.SplitAddr(found[0]); id != servers[1].net.ID() {
		t.Fatalf("%v", found)
	}
	if found, err := servers[2].providers(t.Context(), [32]byte{8}); err != nil || len(found) != 0 {
		t.Fatalf("of another root: %v, %v", found, err)
	}
}

func TestWithoutAWayInNothingHappens(t *testing.T) {
	t.Parallel()
	s, err := openSecond(hostOptions{clock: time.Now, entries: func() []peer.AddrInfo { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.get(t.Context(), Name{1}); !errors.Is(err, ErrAlone) {
		t.Fatal(err)
	}
}

func TestTheHostRestsWhenThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	servers := table(t, 2)
	p := newParty(t, Secret{1}, servers[0].addrs(), time.Now)
	if _, err := p.Providers(t.Context(), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if d := p.pause(); p.host == nil || d > restAfter {
		t.Fatalf("at rest, or for %s", d)
	}
	p.used = time.Now().Add(-2 * restAfter)
	p.users++
	p.pause()
	if p.host == nil {
		t.Fatal("it rests while it is used")
	}
	p.users--
	p.pause()
	if p.host != nil {
		t.Fatal("it does not rest")
	}
	if len(p.Neighbours()) == 0 {
		t.Fatal("it forgot the ways in")
	}
	p.end()
	if _, err := p.Providers(t.Context(), [32]byte{1}); !errors.Is(err, ErrAlone) {
		t.Fatalf("after the end: %v", err)
	}
}

func TestStrangersCannotSendTheHostIntoPrivateNetworks(t *testing.T) {
	t.Parallel()
	g := &stranger{entries: func() []peer.AddrInfo {
		return []peer.AddrInfo{{Addrs: []ma.Multiaddr{addr("/ip4/10.1.2.3/tcp/1"), addr("/ip4/8.8.8.8/tcp/1")}}}
	}}
	for s, want := range map[string]bool{
		"/ip4/8.8.4.4/tcp/1": true, "/ip4/10.1.9.9/tcp/1": true, "/ip4/10.2.0.1/tcp/1": false, "/ip4/192.168.1.1/tcp/80": false,
		"/ip4/127.0.0.1/tcp/1": false, "/ip6/::1/tcp/1": false, "/ip6/fd00::1/tcp/1": false, "/ip6/2001:db8::1/tcp/1": true,
	} {
		if got := g.InterceptAddrDial("", addr(s)); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestOneStrangerMayAskOnlySoMuch(t *testing.T) {
	t.Parallel()
	p, now := newPace(), time.Unix(1000, 0)
	for i := range requestsPerMinute {
		if !p.allow("a", now) {
			t.Fatalf("request %d", i)
		}
	}
	if p.allow("a", now) || !p.allow("b", now) || !p.allow("a", now.Add(time.Minute)) {
		t.Fatal("requests are not counted by stranger and minute")
	}
	for i := range 2 * maxPaced {
		p.allow(peer.ID(fmt.Sprint(i)), now)
	}
	if len(p.asked) > maxPaced {
		t.Fatalf("%d strangers are counted", len(p.asked))
	}
}
