package indexexchange

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/p2p"
)

var (
	_ Host   = (*p2p.Host)(nil)
	_ Folder = (*index.Folder)(nil)
)

// network joins fake hosts by connections in memory (or whatever connect makes).
type network struct {
	connect func() (a, b net.Conn, err error)

	mu      sync.Mutex
	hosts   map[shoal.DeviceID]*fakeHost
	streams []net.Conn
	opened  int
}

func newNetwork() *network {
	return &network{hosts: make(map[shoal.DeviceID]*fakeHost), connect: func() (net.Conn, net.Conn, error) {
		a, b := net.Pipe()
		return a, b, nil
	}}
}

// cut breaks every stream that is open.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.streams {
		s.Close()
	}
	n.streams = nil
}

// fakeHost is a Host without links: every device can open a stream to every other.
type fakeHost struct {
	net     *network
	dev     shoal.DeviceID
	serving sync.WaitGroup
	handler func(context.Context, shoal.DeviceID, p2p.Stream)
}

func (n *network) host(dev shoal.DeviceID) *fakeHost {
	h := &fakeHost{net: n, dev: dev}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[dev] = h
	return h
}

func (h *fakeHost) Handle(_ string, fn func(context.Context, shoal.DeviceID, p2p.Stream)) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.handler = fn
}

func (h *fakeHost) Open(_ context.Context, dev shoal.DeviceID, protocol string) (p2p.Stream, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	other := h.net.hosts[dev]
	if other == nil || other.handler == nil {
		return nil, fmt.Errorf("open %s: %w", protocol, p2p.ErrNotConnected)
	}
	a, b, err := h.net.connect()
	if err != nil {
		return nil, err
	}
	h.net.opened++
	h.net.streams = append(h.net.streams, a, b)
	other.serving.Go(func() {
		defer b.Close()
		other.handler(context.Background(), h.dev, fakeStream{b})
	})
	return fakeStream{a}, nil
}

type fakeStream struct{ net.Conn }

func (s fakeStream) CloseWrite() error { return nil }
func (s fakeStream) Reset() error      { return s.Close() }

// running is a node whose Exchange runs.
type running struct {
	*node
	x     *Exchange
	moved chan struct{} // depth 1: something was accepted
	stop  func()
}

// run gives a node of a world an Exchange of its own and runs it.
func run(t testing.TB, nw *network, n *node) *running {
	r := &running{node: n, moved: make(chan struct{}, 1)}
	cfg := n.core.cfg
	cfg.Host = nw.host(n.dev())
	cfg.Effects = Effects{Changed: func(shoal.FolderID, index.Accepted) { nudge(r.moved) }}
	r.x = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.x.Run(ctx) })
	for running := false; !running; runtime.Gosched() { // streams that come before are refused
		r.x.mu.Lock()
		running = r.x.running
		r.x.mu.Unlock()
	}
	r.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(r.stop)
	return r
}

// write records and notifies, as a folder does.
func (r *running) write(files map[shoal.Path]string) {
	r.node.write(files)
	r.x.Notify(r.world.people.folder)
}

func (r *running) waitFor(t testing.TB, other *running) {
	t.Helper()
	for {
		have, want := r.frontier(), other.frontier()
		equal := len(have) >= len(want)
		for j, p := range want {
			equal = equal && have[j].Seq >= p.Seq
		}
		if equal {
			return
		}
		select {
		case <-r.moved:
		case <-time.After(20 * time.Second):
			t.Fatalf("device %d has %v, device %d %v", r.number, have, other.number, want)
		}
	}
}

func link2(a, b *running) {
	a.x.PeerUp(b.dev())
	b.x.PeerUp(a.dev())
}

func TestExchangeMakesDevicesEqualOverStreams(t *testing.T) {
	w := newWorld(t, 3)
	nw := newNetwork()
	var rs []*running
	for _, n := range w.nodes {
		n.write(one(fmt.Sprint("by ", n.number), "x"))
		rs = append(rs, run(t, nw, n))
	}
	link2(rs[0], rs[1])
	link2(rs[1], rs[2])
	for _, a := range rs {
		for _, b := range rs {
			a.waitFor(t, b)
		}
	}
	rs[0].write(one("later", "y"))
	rs[2].waitFor(t, rs[0])
	w.mustBeEqual(w.nodes...)
	if nw.opened != 2 {
		t.Errorf("%d streams for two pairs", nw.opened)
	}
}

func TestExchangeOpensABrokenStreamAgain(t *testing.T) {
	w := newWorld(t, 2)
	nw := newNetwork()
	a, b := run(t, nw, w.nodes[0]), run(t, nw, w.nodes[1])
	link2(a, b)
	for i := range 5 {
		a.write(one("a", fmt.Sprint(i)))
		b.waitFor(t, a)
		nw.cut()
	}
	w.mustBeEqual(w.nodes...)
}

func TestExchangeEndsWithItsContext(t *testing.T) {
	w := newWorld(t, 2)
	synctest.Test(t, func(t *testing.T) {
		nw := newNetwork()
		a, b := run(t, nw, w.nodes[0]), run(t, nw, w.nodes[1])
		link2(a, b)
		synctest.Wait()
		a.stop()
		synctest.Wait() // b is trying to reach a
		b.x.PeerDown(a.dev())
		b.stop()
		for _, h := range nw.hosts {
			h.serving.Wait()
		}
	})
}

func loopback() (net.Conn, net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	b, err := l.Accept()
	return a, b, err
}

// BenchmarkCommitToAccepted is the time from Notify to the moment when the peer has the record durably, with databases on disk.
func BenchmarkCommitToAccepted(b *testing.B) {
	for _, where := range []string{"memory", "disk"} {
		b.Run(where, func(b *testing.B) {
			w := newWorld(b, 2)
			if where == "disk" {
				for i, n := range w.nodes {
					db, err := index.Open(filepath.Join(b.TempDir(), fmt.Sprint(i)), index.Options{})
					w.must(err)
					defer db.Close()
					n.open(db)
				}
			}
			nw := newNetwork()
			nw.connect = loopback
			x, y := run(b, nw, w.nodes[0]), run(b, nw, w.nodes[1])
			defer y.stop()
			defer x.stop()
			link2(x, y)
			x.write(one("first", "x"))
			y.waitFor(b, x)
			i := 0
			for b.Loop() {
				i++
				b.StopTimer()
				x.node.write(one("a", fmt.Sprint(i)))
				b.StartTimer()
				x.x.Notify(w.people.folder)
				y.waitFor(b, x)
			}
		})
	}
}

// BenchmarkManyRecords fetches a journal of 20,000 small files.
func BenchmarkManyRecords(b *testing.B) {
	const count = 20_000
	w := newWorld(b, 2)
	w.nodes[0].many("dir", count)
	nw := newNetwork()
	nw.connect = loopback
	x := run(b, nw, w.nodes[0])
	x.x.core.batchBytes = maxBatchBytes
	for b.Loop() {
		b.StopTimer()
		n := w.nodes[1]
		n.open(index.OpenMemory(index.Options{}))
		y := run(b, nw, n)
		b.StartTimer()
		link2(x, y)
		y.waitFor(b, x)
		b.StopTimer()
		x.x.PeerDown(y.dev())
		y.stop()
		b.StartTimer()
	}
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "records/s")
}
