package p2p

import (
	"bytes"
	"context"
	"io"
	"testing"
)

func TestTwoMembersConnectAndCarryAStream(t *testing.T) {
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

func TestUpAndDownFollowTheOtherSide(t *testing.T) {
	n := newTestNet(t)
	a, b := n.pair()
	b.stop()
	a.expect(b.Device(), false)
}

func TestHostCloseWithoutRun(t *testing.T) {
	h, err := New(Config{Identity: newIdentity(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Run(context.Background()); err == nil {
		t.Fatal("a closed host runs")
	}
}
