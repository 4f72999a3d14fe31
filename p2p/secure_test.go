package p2p

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// counted is a connection that counts what it is asked to write, and fails from a given write on.
type counted struct {
	net.Conn
	writes, failAt int
}

var errCut = errors.New("the line is cut")

func (c *counted) Write(p []byte) (int, error) {
	if c.writes++; c.failAt > 0 && c.writes >= c.failAt {
		return 0, errCut
	}
	return c.Conn.Write(p)
}

// securePair returns both ends of a connection over loopback, the near one over a counted line.
func securePair(t *testing.T) (near, far sec.SecureConn, line *counted) {
	t.Helper()
	transport := func() (*secureTransport, peer.ID) {
		key, pub, err := crypto.GenerateEd25519Key(nil)
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newSecureTransport(libp2ptls.ID, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s, id
	}
	a, _ := transport()
	b, to := transport()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			far, err = b.SecureInbound(t.Context(), c, "")
		}
		accepted <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	line = &counted{Conn: raw}
	if near, err = a.SecureOutbound(t.Context(), line, to); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far, line
}

// A message of yamux goes to the kernel in one piece, with records as short as those that a connection begins with and with long ones; and comes as it was.
func TestAMessageIsWrittenAtOnce(t *testing.T) {
	near, far, line := securePair(t)
	message := make([]byte, 64<<10)
	for i := range 8 {
		for j := range message {
			message[j] = byte(i + j)
		}
		line.writes = 0
		sent := make(chan error, 1)
		go func() {
			_, err := near.Write(message)
			sent <- err
		}()
		got := make([]byte, len(message))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d came otherwise: %v", i, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if line.writes != 1 {
			t.Errorf("message %d took %d writes", i, line.writes)
		}
	}
}

// What is longer than the buffer goes in several pieces, and what is short in one; the order stays.
func TestLongAndShortWritesKeepTheirOrder(t *testing.T) {
	near, far, line := securePair(t)
	var want []byte
	sent := make(chan error, 1)
	lengths := []int{1, tlsRecord, tlsRecord + 1, 3, 300 << 10, 0, gatherSize, 5}
	for i, n := range lengths {
		want = append(want, bytes.Repeat([]byte{byte(i + 1)}, n)...)
	}
	go func() {
		rest := want
		for _, n := range lengths {
			if _, err := near.Write(rest[:n]); err != nil {
				sent <- err
				return
			}
			rest = rest[n:]
		}
		sent <- nil
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("it came otherwise: %v", err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if records := len(want)/1300 + len(lengths); line.writes >= records {
		t.Errorf("%d writes of at most %d records", line.writes, records)
	}
}

// After a write that failed nothing goes out any more: it would come without what is missing before it.
func TestNothingFollowsAWriteThatFailed(t *testing.T) {
	near, _, line := securePair(t)
	line.writes, line.failAt = 0, 1
	if _, err := near.Write(make([]byte, 64<<10)); !errors.Is(err, errCut) {
		t.Fatalf("the write that failed: %v", err)
	}
	line.failAt = 0
	for _, n := range []int{1, 64 << 10} {
		if _, err := near.Write(make([]byte, n)); !errors.Is(err, errCut) {
			t.Errorf("%d bytes after it: %v", n, err)
		}
	}
	if line.writes != 1 {
		t.Errorf("%d writes", line.writes)
	}
}
