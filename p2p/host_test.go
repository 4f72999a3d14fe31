package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

func TestTwoMembersConnectAndCarryAStream(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair(echo)
	s, err := a.Open(t.Context(), b.Device(), echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Repeat([]byte("shoal"), 100_000)
	go func() {
		_, _ = s.Write(msg)
		_ = s.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, msg) {
		t.Fatalf("got %d bytes, err %v", len(got), err)
	}
	if in, out := a.Traffic(); in < int64(len(msg)) || out < int64(len(msg)) {
		t.Fatalf("traffic in %d out %d", in, out)
	}
	if p := a.Peers(); len(p) != 1 || p[0].Device != b.Device() || p[0].Transport != TransportLAN {
		t.Fatalf("peers %+v", p)
	}
}

func TestDownFollowsAClosedHostAndUpItsReturn(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	id := newIdentity(t)
	again := func(c *Config) { c.Identity = id }
	a, b := n.host(nil), n.host(again)
	n.admit(a.Device(), b.Device())
	a.knows(b)
	a.expect(b.Device(), true)
	listen := strings.Split(b.Addrs()[0], "/p2p/")[0]
	b.stop()
	a.expect(b.Device(), false)
	b = n.host(func(c *Config) { c.Identity, c.Listen = id, []string{listen} })
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
}

func TestReturnAtAnotherPortIsFoundOnTheSameMachine(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	id := newIdentity(t)
	again := func(c *Config) { c.Identity = id }
	a, b := n.host(nil), n.host(again)
	n.admit(a.Device(), b.Device())
	a.knows(b)
	a.expect(b.Device(), true)
	b.stop()
	a.expect(b.Device(), false)
	b = n.host(again)
	a.expect(b.Device(), true)
}

func TestExpelledDeviceLosesItsLinkAndStaysOut(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair()
	n.expel(b.Device())
	a.SetMembers(nil)
	a.expect(b.Device(), false)
	b.expect(a.Device(), false)
	b.knows(a)
	if _, err := b.connect(t.Context(), a.Device()); err == nil {
		t.Fatal("an expelled device got a link")
	}
	if got := a.KnownAddrs(b.Device()); len(got) != 0 {
		t.Fatalf("addresses of an expelled device are kept: %v", got)
	}
}

func TestDisconnectEndsStreamsAndMembersComeBack(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	ended := make(chan error, 1)
	hold := func(h *Host) {
		h.Handle("/shoal/hold/1", func(ctx context.Context, _ shoal.DeviceID, s Stream) {
			_, err := s.Read(make([]byte, 1))
			<-ctx.Done()
			ended <- err
		})
	}
	a, b := n.pair(hold)
	if _, err := a.Open(t.Context(), b.Device(), "/shoal/hold/1"); err != nil {
		t.Fatal(err)
	}
	a.Disconnect(b.Device())
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("the stream ended without error")
		}
	case <-time.After(patience):
		t.Fatal("the handler's stream or context goes on")
	}
	a.expect(b.Device(), false)
	a.expect(b.Device(), true)
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair()
	if _, err := a.Open(t.Context(), newIdentity(t).Device(), echoProtocol); !errors.Is(err, ErrNotConnected) {
		t.Errorf("stranger: %v", err)
	}
	if _, err := a.Open(t.Context(), b.Device(), "/shoal/none/1"); err == nil || errors.Is(err, ErrNotConnected) {
		t.Errorf("unknown protocol: %v", err)
	}
	if len(a.Peers()) != 1 {
		t.Error("the link ended with the stream")
	}
}

func TestStreamDeadline(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair(echo)
	s, err := a.Open(t.Context(), b.Device(), echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var timeout interface{ Timeout() bool }
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) && !(errors.As(err, &timeout) && timeout.Timeout()) {
		t.Fatalf("%v, want a timeout", err)
	}
	if err := s.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if _, err := io.ReadFull(s, got); err != nil || got[0] != 'y' {
		t.Fatalf("after the deadline was lifted: %q, %v", got, err)
	}
}

func TestHandlersReturnEndsTheStream(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair(func(h *Host) {
		h.Handle("/shoal/rude/1", func(context.Context, shoal.DeviceID, Stream) {})
		h.Handle("/shoal/polite/1", func(_ context.Context, _ shoal.DeviceID, s Stream) {
			_, _ = s.Write(bytes.Repeat([]byte("z"), 1<<20))
			_ = s.Close()
		})
	})
	if s, err := a.Open(t.Context(), b.Device(), "/shoal/rude/1"); err == nil {
		if _, err := io.ReadAll(s); err == nil {
			t.Error("a stream that nobody closed ends in good order")
		}
	}
	s, err := a.Open(t.Context(), b.Device(), "/shoal/polite/1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || len(got) != 1<<20 {
		t.Errorf("%d bytes, %v: Close lost what was written", len(got), err)
	}
}

func TestMembersPassOnAddresses(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	apart := func(c *Config) { c.RuntimeDirs = []string{} }
	a, b, c := n.host(apart), n.host(apart), n.host(apart)
	n.admit(a.Device(), b.Device(), c.Device())
	b.knows(a, c)
	a.expect(b.Device(), true)
	c.expect(b.Device(), true)
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): nil, c.Device(): nil})
	a.expect(c.Device(), true)
	c.expect(a.Device(), true)
}

func TestWhoMayNotHearOfOthersIsNotToldWhereTheyAre(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	apart := func(c *Config) { c.RuntimeDirs = []string{} }
	a, c := n.host(apart), n.host(apart)
	b := n.host(func(cfg *Config) {
		apart(cfg)
		cfg.Tells = func(d shoal.DeviceID) bool { return d != c.Device() }
	})
	n.admit(a.Device(), b.Device(), c.Device())
	b.knows(a)
	a.expect(b.Device(), true)
	heard := func(h *testHost, of *testHost) bool {
		return len(h.book.Records(func(d shoal.DeviceID) bool { return d == of.Device() })) > 0
	}
	poll(t, "b has heard where a is", func() bool { return heard(b, a) })
	b.knows(c)
	c.expect(b.Device(), true)
	poll(t, "c has heard where b is, which comes last", func() bool { return heard(c, b) })
	if heard(c, a) {
		t.Error("c was told where a is")
	}
	newer := func(h, of *testHost, than int64) bool {
		r := h.book.Records(func(d shoal.DeviceID) bool { return d == of.Device() })
		return len(r) > 0 && r[0].TimeMS > than
	}
	was, before := a.ownRecord().TimeMS, b.ownRecord().TimeMS
	if err := a.publish(0); err != nil {
		t.Fatal(err)
	}
	poll(t, "b has heard of a again, and passes that on", func() bool { return newer(b, a, was) })
	if err := b.publish(0); err != nil {
		t.Fatal(err)
	}
	b.SetMembers(map[shoal.DeviceID][]string{a.Device(): nil, c.Device(): nil})
	poll(t, "c has heard of b again, which comes last", func() bool { return newer(c, b, before) })
	if heard(c, a) || heard(a, c) {
		t.Errorf("c was told where a is: %v; a was told where c is: %v", heard(c, a), heard(a, c))
	}
}

func TestAddressesOfALaterMemberArePassedOnToo(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	apart := func(c *Config) { c.RuntimeDirs = []string{} }
	late := make(chan struct{})
	a := n.host(apart)
	b := n.host(apart)
	var c *testHost
	// a's gate learns of c later than b's.
	slow := n.host(func(cfg *Config) {
		apart(cfg)
		cfg.Gate = func(d shoal.DeviceID) bool {
			select {
			case <-late:
				return n.gate(d)
			default:
				return d == b.Device()
			}
		}
	})
	c = n.host(apart)
	n.admit(a.Device(), b.Device(), c.Device(), slow.Device())
	b.knows(slow, c)
	slow.expect(b.Device(), true)
	b.next()
	b.next()
	close(late)
	slow.SetMembers(map[shoal.DeviceID][]string{b.Device(): nil, c.Device(): nil})
	slow.expect(c.Device(), true)
}

func TestOwnRecordOutbidsThatOfAFormerLife(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	id := newIdentity(t)
	ahead := newTestClock()
	ahead.add(1000 * time.Hour)
	apart := func(c *Config) { c.RuntimeDirs = []string{} }
	a := n.host(apart)
	old := n.host(func(c *Config) { apart(c); c.Identity, c.Clock = id, ahead.now })
	n.admit(a.Device(), old.Device())
	a.knows(old)
	a.expect(old.Device(), true)
	poll(t, "the old record arrives", func() bool { return a.book.Record(id.Device()) != nil })
	was := a.book.Record(id.Device()).TimeMS
	old.stop()
	a.expect(id.Device(), false)
	b := n.host(func(c *Config) { apart(c); c.Identity = id })
	b.knows(a)
	a.expect(id.Device(), true)
	poll(t, "the new record wins", func() bool {
		r := a.book.Record(id.Device())
		return r.TimeMS > was && strings.Contains(b.Addrs()[0], r.Addrs[0].String())
	})
}

func TestQUICAloneIsEnough(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	quic := func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/udp/0/quic-v1"} }
	a, b := n.host(quic, echo), n.host(quic)
	n.admit(a.Device(), b.Device())
	n.works(a, b)
	a.stop()
	b.expect(a.Device(), false)
}

func TestDefaultsListenEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	began := time.Now()
	a := n.host(func(c *Config) { c.Listen, c.RuntimeDirs, c.MDNS = nil, nil, true })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("start takes %s", took)
	}
	var tcp, quic bool
	for _, s := range a.Addrs() {
		if !strings.HasSuffix(s, "/p2p/"+a.Device().String()) {
			t.Errorf("address %s does not name the device", s)
		}
		tcp, quic = tcp || strings.Contains(s, "/tcp/"), quic || strings.Contains(s, "/quic-v1")
	}
	if !tcp || !quic {
		t.Errorf("addresses %v", a.Addrs())
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	n := newTestNet(t)
	both := func(c *Config) {
		c.Listen, c.MDNS = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, true
	}
	once := func() {
		a, b := n.host(both, echo), n.host(both, echo)
		n.admit(a.Device(), b.Device())
		a.knows(b)
		a.expect(b.Device(), true)
		b.expect(a.Device(), true)
		if s, err := a.Open(t.Context(), b.Device(), echoProtocol); err == nil {
			_, _ = s.Write([]byte("left open"))
		}
		a.SetMesh(testMesh)
		_, _ = a.NewInvite(1, 0, false)
		a.stop()
		b.stop()
		if _, ok := <-a.Events(); ok {
			<-a.Events()
		}
	}
	once() // libraries start some goroutines once per process
	before := runtime.NumGoroutine()
	once()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		runtime.Gosched()
	}
}

func TestHostCloseWithoutRun(t *testing.T) {
	t.Parallel()
	h, err := New(Config{Identity: newIdentity(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Run(context.Background()); !errors.Is(err, ErrClosed) {
		t.Fatalf("a closed host runs: %v", err)
	}
}

func TestConfigRefusesNonsense(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"no identity": {},
		"listen":      {Identity: newIdentity(t), Listen: []string{"here"}},
		"limits":      {Identity: newIdentity(t), Limits: Limits{Memory: 1}},
		"heartbeat":   {Identity: newIdentity(t), Heartbeat: -1},
	} {
		if _, err := New(c); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
