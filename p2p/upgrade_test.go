package p2p

import (
	"io"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// conns counts the connections that h has with other.
func (h *testHost) conns(other *testHost) int {
	return len(h.Host.net.Network().ConnsToPeer(address.PeerID(other.Device())))
}

// say sends a word on an echo stream and reads it back.
func say(t *testing.T, s Stream, word string) {
	t.Helper()
	if _, err := s.Write([]byte(word)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(word))
	if _, err := io.ReadFull(s, got); err != nil || string(got) != word {
		t.Fatalf("%q came back as %q, %v", word, got, err)
	}
}

func TestADirectConnectionTakesThePlaceOfACircuitAndBreaksNothing(t *testing.T) {
	t.Parallel()
	for _, secondListens := range []bool{false, true} { // whichever of the two dials, and decides
		n := newTestNet(t)
		v, a, b := n.relayed(echo)
		poll(t, "they are linked through the relay", func() bool { return a.linked(b.Device(), TransportRelay) && b.linked(a.Device(), TransportRelay) })
		a.expect(v.Device(), true)
		a.expect(b.Device(), true)
		b.expect(v.Device(), true)
		b.expect(a.Device(), true)
		old, err := a.Open(t.Context(), b.Device(), echoProtocol)
		if err != nil {
			t.Fatal(err)
		}
		say(t, old, "over the circuit")
		listener := a
		if secondListens {
			listener = b
		}
		if err := listener.Host.net.Network().Listen(ma.StringCast("/ip4/127.0.0.1/tcp/0")); err != nil {
			t.Fatal(err)
		}
		poll(t, "they are linked directly", func() bool { return a.linked(b.Device(), TransportLAN) && b.linked(a.Device(), TransportLAN) })
		// What began on the circuit goes on there; what begins now takes the better way.
		say(t, old, "still over the circuit")
		s, err := a.Open(t.Context(), b.Device(), echoProtocol)
		if err != nil {
			t.Fatal(err)
		}
		say(t, s, "directly")
		if raw := s.(*stream).Conn(); address.IsRelayed(raw.RemoteMultiaddr()) {
			t.Fatal("a new stream goes through the relay")
		}
		say(t, old, "once more over the circuit")
		_ = old.Close()
		poll(t, "the circuit is closed", func() bool { return a.conns(b) == 1 && b.conns(a) == 1 })
		say(t, s, "directly, with the circuit gone")
		// Whoever keeps streams is told.
		a.expect(b.Device(), false)
		a.expect(b.Device(), true)
		a.quiet()
		b.expect(a.Device(), false)
		b.expect(a.Device(), true)
		b.quiet()
	}
}

func TestARetiredLinkWaitsForItsStreamsButNotForEver(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, b := n.pair(echo)
	l := a.links.of(b.Device())
	s, err := a.Open(t.Context(), b.Device(), echoProtocol)
	if err != nil {
		t.Fatal(err)
	}
	say(t, s, "x")
	l.retire()
	ended := make(chan time.Duration)
	began := time.Now()
	go func() {
		l.drain(200*time.Millisecond, time.Hour)
		ended <- time.Since(began)
	}()
	if d := <-ended; d < 200*time.Millisecond {
		t.Fatalf("it ended after %s with a stream open", d)
	}
	a.expect(b.Device(), false)
}
