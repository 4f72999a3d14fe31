package p2p

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// tcpAddr is where h listens, for a plain TCP client.
func (h *testHost) tcpAddr() string {
	h.net.t.Helper()
	a, err := ma.NewMultiaddr(strings.Split(h.Addrs()[0], "/p2p/")[0])
	if err != nil {
		h.net.t.Fatal(err)
	}
	addr, err := manet.ToNetAddr(a)
	if err != nil {
		h.net.t.Fatal(err)
	}
	return addr.String()
}

// works checks that two hosts that know each other can still connect and talk.
func (n *testNet) works(a, b *testHost) {
	n.t.Helper()
	b.knows(a)
	b.expect(a.Device(), true)
	s, err := b.Open(n.t.Context(), a.Device(), echoProtocol)
	if err != nil {
		n.t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte("hello")); err != nil {
		n.t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "hello" {
		n.t.Fatalf("%q, %v", got, err)
	}
}

func TestGarbageAndSilenceOnThePortDisturbNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second or more")
	}
	t.Parallel()
	n := newTestNet(t)
	a, b := n.host(nil, echo), n.host(nil)
	n.admit(a.Device(), b.Device())
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for i := range 100 {
		c, err := net.Dial("tcp", a.tcpAddr())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		switch i % 3 {
		case 0: // says nothing, for ever
		case 1:
			_, _ = io.CopyN(c, rand.Reader, 10_000)
		case 2: // begins the protocol, one byte of it
			_, _ = c.Write([]byte{0x13})
		}
	}
	n.works(a, b)
}

// rogue makes a raw link stream from an admitted device that does not keep to the protocol.
func (n *testNet) rogue(a *testHost) (*testHost, *stream) {
	n.t.Helper()
	r := n.host(nil)
	n.admit(r.Device())
	r.LearnAddrs(a.Device(), a.Addrs())
	conn, err := r.dial(n.t.Context(), a.Device())
	if err != nil {
		n.t.Fatal(err)
	}
	raw, err := openStream(n.t.Context(), conn, linkProtocol)
	if err != nil {
		n.t.Fatal(err)
	}
	return r, &stream{Stream: raw, count: &r.count, heard: func() {}}
}

func TestLinkProtocolViolationsEndThatConnectionOnly(t *testing.T) {
	t.Parallel()
	huge := binary.AppendUvarint(nil, 1<<40)
	hello, err := proto.Marshal(&wire.Link{Kind: &wire.Link_Hello{Hello: &wire.Hello{Run: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	var greeted bytes.Buffer
	_ = WriteFrame(&greeted, hello)
	for name, c := range map[string]struct {
		greet bool // after a handshake that is in order
		sent  []byte
	}{
		"oversized frame":       {false, huge},
		"garbage frame":         {false, []byte{3, 0xff, 0xff, 0xff}},
		"overlong length":       {false, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}},
		"no hello":              {false, []byte{0}},
		"oversized after hello": {true, huge},
		"garbage after hello":   {true, []byte{3, 0xff, 0xff, 0xff}},
		"hello after hello":     {true, greeted.Bytes()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newTestNet(t)
			a, b := n.host(nil, echo), n.host(nil)
			n.admit(a.Device(), b.Device())
			r, s := n.rogue(a)
			if c.greet {
				_, _ = s.Write(greeted.Bytes())
				shakeHands(t, s, a)
				a.expect(r.Device(), true)
			}
			if _, err := s.Write(c.sent); err != nil {
				t.Fatal(err)
			}
			// Whatever a says first (its hello, a verdict), in the end it hangs up.
			_ = s.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.ReadAll(s); err == nil || isTimeout(err) {
				t.Fatalf("the connection goes on: %v", err)
			}
			n.works(a, b)
		})
	}
}

// shakeHands lets a link come up on a rogue's stream: a says yes by itself if it decides.
func shakeHands(t *testing.T, s *stream, a *testHost) {
	t.Helper()
	if _, err := ReadFrame(s, maxLinkFrame); err != nil {
		t.Fatal(err)
	}
	self, _ := address.FromPeer(s.Conn().LocalPeer())
	if a.Device().Compare(self) < 0 {
		return
	}
	yes, err := proto.Marshal(&wire.Link{Kind: &wire.Link_Verdict{Verdict: &wire.Verdict{Answer: wire.Answer_ANSWER_YES}}})
	if err != nil {
		t.Fatal(err)
	}
	_ = WriteFrame(s, yes)
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func TestStreamsWaitForTheHandshake(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	low, high := sortedIdentities(t)
	a, r := n.host(func(c *Config) { c.Identity = high }, echo), n.host(func(c *Config) { c.Identity = low })
	n.admit(a.Device(), r.Device())
	r.LearnAddrs(a.Device(), a.Addrs())
	conn, err := r.dial(t.Context(), a.Device())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := openStream(t.Context(), conn, linkProtocol)
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(t.Context(), &stream{Stream: raw, count: &r.count}, a.Device(), true)
	if err := l.greet(7); err != nil { // and no verdict yet, though this side is to give it
		t.Fatal(err)
	}
	s, err := openStream(t.Context(), conn, echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := s.Read(make([]byte, 1)); !isTimeout(err) {
		t.Fatalf("before the verdict: %v, want a timeout", err)
	}
	if err := l.tellVerdict(wire.Answer_ANSWER_YES); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatalf("after the verdict: %v", err)
	}
}

func TestGuestsAreFew(t *testing.T) {
	if testing.Short() {
		t.Skip("makes many hosts")
	}
	t.Parallel()
	n := newTestNet(t)
	a, b := n.inviterHost(), n.host(nil)
	echo(a.Host)
	n.admit(a.Device(), b.Device())
	a.invite()
	for range maxGuests + 3 {
		g := n.host(func(c *Config) { c.Gate = func(shoal.DeviceID) bool { return true } })
		g.LearnAddrs(a.Device(), a.Addrs())
		if _, err := g.dial(t.Context(), a.Device()); err != nil {
			t.Fatal(err)
		}
	}
	poll(t, "guests beyond the limit are gone", func() bool { return len(a.Host.net.Network().Conns()) <= maxGuests })
	n.works(a, b)
}

func TestUnknownDevicesDoNotGetIn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second or more")
	}
	t.Parallel()
	n := newTestNet(t)
	a, b := n.host(nil, echo), n.host(nil)
	n.admit(a.Device(), b.Device())
	var strangers sync.WaitGroup
	for range 5 {
		s := n.host(func(c *Config) { c.Gate = func(shoal.DeviceID) bool { return true } })
		strangers.Go(func() {
			s.LearnAddrs(a.Device(), a.Addrs())
			for range 5 {
				if _, err := s.connect(t.Context(), a.Device()); err == nil {
					t.Error("a stranger got a link")
				}
			}
		})
	}
	n.works(a, b)
	strangers.Wait()
	if p := a.Peers(); len(p) != 1 {
		t.Fatalf("peers %+v", p)
	}
}

func TestGuestsThatBreakThePairingProtocol(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	i := a.invite()
	defer g.gate.join(a.Device())()
	g.LearnAddrs(a.Device(), a.Addrs())
	begin, err := proto.Marshal(&wire.Pair{Kind: &wire.Pair_Begin{Begin: &wire.Begin{Nameplate: 1, Pake: []byte("short")}}})
	if err != nil {
		t.Fatal(err)
	}
	var framed bytes.Buffer
	_ = WriteFrame(&framed, begin)
	for name, raw := range map[string][]byte{
		"oversized": binary.AppendUvarint(nil, 1<<30),
		"garbage":   {4, 0xde, 0xad, 0xbe, 0xef},
		"empty":     {0},
		"bad pake":  framed.Bytes(),
	} {
		conn, err := g.dial(t.Context(), a.Device())
		if err != nil {
			t.Fatal(err)
		}
		s, err := openStream(t.Context(), conn, pairProtocol)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, _ = s.Write(raw)
		_ = s.CloseWrite()
		_ = s.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(s); isTimeout(err) {
			t.Errorf("%s: the inviter holds on", name)
		}
	}
	if _, _, err := g.join(i.Ticket, "laptop"); err != nil {
		t.Fatalf("after nonsense: %v", err)
	}
}

// cutCable is a TCP proxy that can go dead without closing anything, as a pulled cable does.
type cutCable struct {
	l   net.Listener
	cut chan struct{}
}

func newCutCable(t *testing.T, to string) *cutCable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutCable{l: l, cut: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			context.AfterFunc(ctx, func() {
				_ = in.Close()
				_ = out.Close()
			})
			conns.Go(func() { c.carry(out, in) })
			conns.Go(func() { c.carry(in, out) })
		}
	})
	t.Cleanup(func() {
		stop()
		_ = l.Close()
		conns.Wait()
	})
	return c
}

// addr is the near end of the cable.
func (c *cutCable) addr() string {
	return "/ip4/127.0.0.1/tcp/" + strings.Split(c.l.Addr().String(), ":")[1]
}

// carry copies until the cable is cut, and swallows from then on.
func (c *cutCable) carry(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-c.cut:
		default:
			_, _ = to.Write(buf[:n])
		}
	}
}

func TestPulledCableShowsAsDown(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second or more")
	}
	t.Parallel()
	n := newTestNet(t)
	apart := func(c *Config) { c.RuntimeDirs = []string{} }
	a, b := n.host(apart), n.host(apart)
	n.admit(a.Device(), b.Device())
	cable := newCutCable(t, b.tcpAddr())
	a.SetMembers(map[shoal.DeviceID][]string{b.Device(): {cable.addr()}})
	a.expect(b.Device(), true)
	b.expect(a.Device(), true)
	close(cable.cut)
	began := time.Now()
	a.expect(b.Device(), false)
	b.expect(a.Device(), false)
	if took := time.Since(began); took > 3*silentBeats*300*time.Millisecond {
		t.Errorf("noticed after %s", took)
	}
}
