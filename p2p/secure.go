package p2p

import (
	"context"
	"net"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
)

// tlsRecord is the most that TLS seals at once (RFC 8446, §5.1).
const tlsRecord = 16 << 10

// gatherSize holds the records of one message of yamux, 64 KiB, with their heads and tags. The first records of a connection
// hold some 1,300 bytes each (crypto/tls, recordSizeBoostThreshold), and have more of both.
const gatherSize = 68 << 10

// secureTransport is libp2p's TLS, but what is written at once goes to the kernel at once. crypto/tls gives it record by
// record, and a call for each 16 KiB is a sixth of what a byte costs over loopback (BenchmarkStream).
type secureTransport struct{ *libp2ptls.Transport }

var _ sec.SecureTransport = (*secureTransport)(nil)

func newSecureTransport(id protocol.ID, key crypto.PrivKey, muxers []upgrader.StreamMuxer) (*secureTransport, error) {
	t, err := libp2ptls.New(id, key, muxers)
	if err != nil {
		return nil, err
	}
	return &secureTransport{t}, nil
}

func (t *secureTransport) SecureInbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return gathered(insecure, func(c net.Conn) (sec.SecureConn, error) { return t.Transport.SecureInbound(ctx, c, p) })
}

func (t *secureTransport) SecureOutbound(ctx context.Context, insecure net.Conn, p peer.ID) (sec.SecureConn, error) {
	return gathered(insecure, func(c net.Conn) (sec.SecureConn, error) { return t.Transport.SecureOutbound(ctx, c, p) })
}

func gathered(insecure net.Conn, secure func(net.Conn) (sec.SecureConn, error)) (sec.SecureConn, error) {
	below := &gatherer{Conn: insecure}
	above, err := secure(below)
	if err != nil {
		return nil, err
	}
	return &secureConn{SecureConn: above, below: below}, nil
}

// secureConn is a connection whose long writes are gathered. Like every net.Conn it may be used by several goroutines.
type secureConn struct {
	sec.SecureConn
	below   *gatherer
	writing sync.Mutex // one write at a time is between open and flush
}

func (c *secureConn) Write(p []byte) (int, error) {
	if len(p) <= tlsRecord {
		return c.SecureConn.Write(p)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.below.open()
	n, err := c.SecureConn.Write(p)
	if flushed := c.below.flush(); err == nil {
		err = flushed
	}
	return n, err
}

// gatherer keeps what is written between open and flush, up to gatherSize, and writes it then. The order of all writes stays.
type gatherer struct {
	net.Conn
	mu   sync.Mutex
	kept *[gatherSize]byte // nil: closed, writes go through
	n    int               // bytes in kept
	err  error             // the first write that failed: what lay in kept is lost, so nothing may follow
}

var gatherBuffers = sync.Pool{New: func() any { return new([gatherSize]byte) }}

func (g *gatherer) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept = gatherBuffers.Get().(*[gatherSize]byte)
}

func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil && g.kept != nil && len(p) <= gatherSize-g.n {
		g.n += copy(g.kept[g.n:], p)
		return len(p), nil
	}
	if err := g.empty(); err != nil {
		return 0, err
	}
	n, err := g.Conn.Write(p)
	g.err = err
	return n, err
}

// flush writes what was kept, and lets writes through again.
func (g *gatherer) flush() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.empty()
	gatherBuffers.Put(g.kept)
	g.kept = nil
	return err
}

func (g *gatherer) empty() error {
	if g.err == nil && g.n > 0 {
		_, g.err = g.Conn.Write(g.kept[:g.n])
	}
	g.n = 0
	return g.err
}
