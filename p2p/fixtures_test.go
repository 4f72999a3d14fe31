package p2p

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/neighbours"
)

// patience is how long a test waits for something that normally takes milliseconds.
const patience = 10 * time.Second

// testNet is a set of hosts on this machine, with a runtime folder of their own.
type testNet struct {
	t   testing.TB
	dir string

	mu      sync.Mutex
	members map[shoal.DeviceID]bool
}

func newTestNet(t testing.TB) *testNet {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return &testNet{t: t, dir: dir, members: make(map[shoal.DeviceID]bool)}
}

// admit puts devices into the roster that all hosts of the net share.
func (n *testNet) admit(devs ...shoal.DeviceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range devs {
		n.members[d] = true
	}
}

func (n *testNet) expel(dev shoal.DeviceID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, dev)
}

func (n *testNet) gate(d shoal.DeviceID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members[d]
}

// testHost is a host that runs, and what it says.
type testHost struct {
	*Host
	net  *testNet
	done chan struct{}
}

func newIdentity(t testing.TB) *mesh.Identity {
	t.Helper()
	id, err := mesh.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// host makes a host; change may adapt its config, setup its handlers. It runs until the test ends.
func (n *testNet) host(change func(*Config), setup ...func(*Host)) *testHost {
	n.t.Helper()
	c := Config{
		Identity: newIdentity(n.t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{n.dir},
		Gate: n.gate, Log: testLog(n.t), Heartbeat: 300 * time.Millisecond,
	}
	if change != nil {
		change(&c)
	}
	h, err := New(c)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range setup {
		f(h)
	}
	th := &testHost{Host: h, net: n, done: make(chan struct{})}
	go func() {
		defer close(th.done)
		if err := h.Run(context.Background()); err != nil {
			n.t.Errorf("run: %v", err)
		}
	}()
	n.t.Cleanup(th.stop)
	<-h.started
	return th
}

func (h *testHost) stop() {
	if err := h.Close(); err != nil {
		h.net.t.Errorf("close: %v", err)
	}
	<-h.done
}

// next waits for the next event.
func (h *testHost) next() Event {
	h.net.t.Helper()
	select {
	case e, ok := <-h.Events():
		if !ok {
			h.net.t.Fatal("events ended")
		}
		return e
	case <-time.After(patience):
		h.net.t.Fatal("no event")
		return Event{}
	}
}

// expect waits for one event and compares it.
func (h *testHost) expect(dev shoal.DeviceID, up bool) {
	h.net.t.Helper()
	if e := h.next(); e != (Event{Device: dev, Up: up}) {
		h.net.t.Fatalf("event %s up=%v, want %s up=%v", e.Device.Short(), e.Up, dev.Short(), up)
	}
}

// knows makes others members of h, with the addresses at which they are.
func (h *testHost) knows(others ...*testHost) {
	members := make(map[shoal.DeviceID][]string)
	for _, o := range others {
		members[o.Device()] = o.Addrs()
	}
	h.SetMembers(members)
}

// pair makes two admitted hosts of which the first has dialed the second.
func (n *testNet) pair(setup ...func(*Host)) (a, b *testHost) {
	n.t.Helper()
	a, b = n.host(nil, setup...), n.host(nil, setup...)
	n.admit(a.Device(), b.Device())
	a.knows(b)
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
	return a, b
}

// testLog shows debug messages when SHOAL_TEST_LOG is set; t.Log would complain of messages after the test.
func testLog(t testing.TB) *slog.Logger {
	if os.Getenv("SHOAL_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

const echoProtocol = "/shoal/echo/1"

// echo gives back what comes until the end.
func echo(h *Host) {
	h.Handle(echoProtocol, func(_ context.Context, _ shoal.DeviceID, s Stream) {
		if _, err := io.Copy(s, s); err == nil {
			_ = s.Close()
		}
	})
}

// testClock is a clock that runs, and can be moved on.
type testClock struct {
	mu   sync.Mutex
	skip time.Duration
}

func newTestClock() *testClock { return &testClock{} }

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.skip)
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skip += d
}

func newBoard(dir string) *neighbours.Board { return neighbours.New([]string{dir}) }

// quiet fails if an event is pending.
func (h *testHost) quiet() {
	h.net.t.Helper()
	select {
	case e := <-h.Events():
		h.net.t.Fatalf("unexpected event %s up=%v", e.Device.Short(), e.Up)
	default:
	}
}

// poll waits until cond holds.
func poll(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick, late := time.NewTicker(2*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// within polls a slow thing.
func within(t *testing.T, d time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Since(began) > d {
			t.Fatalf("waited in vain until %s", what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// holds fails if cond ceases to hold before d has passed.
func holds(t *testing.T, d time.Duration, what string, cond func() bool) {
	t.Helper()
	over := time.After(d)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if !cond() {
			t.Fatalf("it is not so any more that %s", what)
		}
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

// connAddrs is a connection of which only the other side's address is known.
type connAddrs struct{ remote string }

func (connAddrs) LocalMultiaddr() ma.Multiaddr    { return ma.StringCast("/ip4/127.0.0.1/tcp/1") }
func (c connAddrs) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(c.remote) }
