package p2p

import (
	"context"
	"io"
	"testing"

	"github.com/shoalmesh/shoal"
)

// BenchmarkStream measures one stream between two hosts over loopback TCP+TLS+yamux, in 1 MiB frames.
func BenchmarkStream(b *testing.B) {
	n := newTestNet(b)
	a, c := n.pair(func(h *Host) {
		h.Handle("/shoal/sink/1", func(_ context.Context, _ shoal.DeviceID, s Stream) {
			_, _ = io.Copy(io.Discard, s)
			_, _ = s.Write([]byte{1})
			_ = s.Close()
		})
	})
	s, err := a.Open(b.Context(), c.Device(), "/shoal/sink/1")
	if err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 1<<20)
	b.SetBytes(int64(len(frame)))
	b.ResetTimer()
	for b.Loop() {
		if err := WriteFrame(s, frame); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.CloseWrite()
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkConnect measures from SetMembers to Up on both sides.
func BenchmarkConnect(b *testing.B) {
	n := newTestNet(b)
	for b.Loop() {
		b.StopTimer()
		x, y := n.host(nil), n.host(nil)
		n.admit(x.Device(), y.Device())
		b.StartTimer()
		x.knows(y)
		x.expect(y.Device(), true)
		y.expect(x.Device(), true)
		b.StopTimer()
		x.stop()
		y.stop()
		b.StartTimer()
	}
}
