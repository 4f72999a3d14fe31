package blockexchange

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// network joins fake hosts by connections in memory (or whatever connect makes). Devices that are cut off cannot open streams.
type network struct {
	connect func() (a, b net.Conn, err error)

	mu      sync.Mutex
	hosts   map[shoal.DeviceID]*fakeHost
	streams []net.Conn
	serving sync.WaitGroup
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
	h.net.streams = append(h.net.streams, a, b)
	h.net.serving.Go(func() {
		defer b.Close()
		other.handler(context.Background(), h.dev, fakeStream{b})
	})
	return fakeStream{a}, nil
}

type fakeStream struct{ net.Conn }

func (s fakeStream) CloseWrite() error { return nil }
func (s fakeStream) Reset() error      { return s.Close() }

// memorySource is a Source in memory.
type memorySource struct {
	mu     sync.Mutex
	blocks map[block.ID][]byte
	asked  map[block.ID]int
	gate   chan struct{} // not nil: every look-up waits for it
}

func newMemorySource() *memorySource {
	return &memorySource{blocks: make(map[block.ID][]byte), asked: make(map[block.ID]int)}
}

func (l *memorySource) Block(ctx context.Context, w Want, _ []byte) ([]byte, error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[w.Block]++
	b, ok := l.blocks[w.Block]
	if !ok {
		return nil, fmt.Errorf("look up %s: %w", w.Block.Short(), ErrAbsent)
	}
	return b, nil
}

func (l *memorySource) put(id block.ID, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks[id] = b
}

// bench is a mesh of devices that keep one folder.
type bench struct {
	t      testing.TB
	net    *network
	folder shoal.FolderID
	keys   *mesh.FolderKeys
	epoch  shoal.EpochID
	names  *block.Keys

	compression block.Compression
}

func newBench(t testing.TB) *bench {
	t.Helper()
	entropy := make([]byte, 32)
	phrase, err := mesh.NewPhrase(entropy)
	must(t, err)
	root, err := mesh.RootFromPhrase(phrase)
	must(t, err)
	owner, err := mesh.NewIdentity(rand.Reader)
	must(t, err)
	now := time.Unix(1_800_000_000, 0)
	roster, err := mesh.Create(root, owner, "owner", rand.Reader, now)
	must(t, err)
	folder, err := roster.AddFolder(owner, "files", now, rand.Reader)
	must(t, err)
	keys, err := roster.FolderKeys(owner, folder)
	must(t, err)
	epoch, ok := keys.Current()
	if !ok {
		t.Fatal("no epoch")
	}
	return &bench{t: t, net: newNetwork(), folder: folder, keys: keys, epoch: epoch.ID,
		names: &block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}}
}

// inside returns the bench with a network of its own, for use in a bubble: keys are slow to make, and not made there.
func (b *bench) inside(t *testing.T) *bench {
	inner := *b
	inner.t, inner.net = t, newNetwork()
	inner.compression = block.Off // the compressor keeps channels, which must not leave a bubble
	return &inner
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// device makes an Exchange and runs it until the test ends or stop is called.
func (b *bench) device(n int, src Source) (x *Exchange, stop func()) {
	x = New(Config{Host: b.net.host(device(n)), Source: src, Compression: b.compression, Keys: func(f shoal.FolderID) *mesh.FolderKeys {
		if f == b.folder {
			return b.keys
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { x.Run(ctx) })
	for !x.runs() { // what comes before is refused, and tried again only after a pause
		runtime.Gosched()
	}
	stop = func() {
		cancel()
		wg.Wait()
	}
	b.t.Cleanup(stop)
	return x, stop
}

func (x *Exchange) runs() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.running
}

// blocks makes n blocks and the wants for them.
func (b *bench) blocks(n, size int) (map[block.ID][]byte, []Want) {
	all, wants := make(map[block.ID][]byte, n), make([]Want, 0, n)
	for i := range n {
		data := make([]byte, size)
		rand.Read(data)
		data[0], data[size-1] = byte(i), byte(i>>8)
		id := b.names.ID(data)
		all[id] = data
		wants = append(wants, Want{Folder: b.folder, Block: id, Size: uint32(size), Epoch: b.epoch,
			Hint: Hint{Record: shoal.Dot{Journal: shoal.JournalID{Device: device(1), Nonce: 7}, Seq: 3}, Index: uint32(i)}})
	}
	return all, wants
}

// collect fetches and returns what came.
func collect(ctx context.Context, x *Exchange, wants []Want) (map[block.ID][]byte, error) {
	got := make(map[block.ID][]byte)
	err := x.Fetch(ctx, wants, func(w Want, plaintext []byte) error {
		got[w.Block] = append([]byte(nil), plaintext...)
		return nil
	})
	return got, err
}
