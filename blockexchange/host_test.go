package blockexchange

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

var _ Host = (*p2p.Host)(nil)

// realHost is a libp2p host on this machine's loopback, with an Exchange on it.
type realHost struct {
	host *p2p.Host
	x    *Exchange
}

// realPair makes two hosts with Exchanges and connects them.
func realPair(tb testing.TB, b *bench, lib *memorySource) (src, dst *realHost) {
	ids := make([]*mesh.Identity, 2)
	for i := range ids {
		id, err := mesh.NewIdentity(seeded(byte(i + 1)))
		must(tb, err)
		ids[i] = id
	}
	src, dst = newRealHost(tb, b, ids[0], lib), newRealHost(tb, b, ids[1], newMemorySource())
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	tb.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	up := make(chan struct{}, 2)
	for _, pair := range [][2]*realHost{{src, dst}, {dst, src}} {
		me, other := pair[0], pair[1]
		me.host.SetMembers(map[shoal.DeviceID][]string{other.host.Device(): other.host.Addrs()})
		wg.Go(func() { me.x.Run(ctx) })
		wg.Go(func() { me.host.Run(ctx) })
		wg.Go(func() {
			for ev := range me.host.Events() {
				if ev.Up {
					me.x.PeerUp(ev.Device, CostLAN)
					up <- struct{}{}
				} else {
					me.x.PeerDown(ev.Device)
				}
			}
		})
	}
	for range 2 {
		<-up
	}
	return src, dst
}

func newRealHost(tb testing.TB, b *bench, id *mesh.Identity, lib *memorySource) *realHost {
	h, err := p2p.New(p2p.Config{Identity: id, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{},
		Gate: func(shoal.DeviceID) bool { return true }})
	must(tb, err)
	return &realHost{host: h, x: New(Config{Host: h, Source: lib, Keys: func(shoal.FolderID) *mesh.FolderKeys { return b.keys }})}
}

// seeded is randomness that is none.
type seeded byte

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func TestBlocksTravelOverRealHosts(t *testing.T) {
	b := newBench(t)
	blocks, wants := b.blocks(100, 30_000)
	lib := newMemorySource()
	for id, data := range blocks {
		lib.put(id, data)
	}
	_, dst := realPair(t, b, lib)
	got, err := collect(t.Context(), dst.x, wants)
	must(t, err)
	equalBlocks(t, got, blocks)
}

func BenchmarkFetchOverRealHosts(b *testing.B) {
	for _, size := range []int{1 << 10, 256 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			m := newBench(b)
			count := min(5000, 64<<20/size)
			blocks, wants := m.blocks(count, size)
			lib := newMemorySource()
			for id, data := range blocks {
				lib.put(id, data)
			}
			_, dst := realPair(b, m, lib)
			b.SetBytes(int64(count * size))
			for b.Loop() {
				if err := dst.x.Fetch(b.Context(), wants, func(Want, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}
