package blockexchange

import (
	"net"
	"testing"
)

// loopback makes TCP connections on this machine.
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

func benchmarkFetch(b *testing.B, count, size int) {
	m := newBench(b)
	m.net.connect = loopback
	blocks, wants := m.blocks(count, size)
	lib := newMemorySource()
	for id, data := range blocks {
		lib.put(id, data)
	}
	src, _ := m.device(1, lib)
	x, _ := m.device(2, newMemorySource())
	src.PeerUp(device(2), CostLAN) // so that it knows that the link is fast
	x.PeerUp(device(1), CostLAN)
	b.SetBytes(int64(count * size))
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Fetch(b.Context(), wants, func(Want, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(count*b.N)/b.Elapsed().Seconds(), "blocks/s")
}

func BenchmarkFetchOverLoopback(b *testing.B) {
	b.Run("256KiB", func(b *testing.B) { benchmarkFetch(b, 256, 256<<10) })
	b.Run("1MiB", func(b *testing.B) { benchmarkFetch(b, 64, 1<<20) })
	b.Run("1KiB", func(b *testing.B) { benchmarkFetch(b, 5000, 1<<10) })
}
