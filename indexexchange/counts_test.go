package indexexchange

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
)

// long is a message of the greatest size whose body has as many empty elements of a list as go in.
func long(l list) []byte {
	body := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), make([]byte, 16))
	one := protowire.AppendBytes(protowire.AppendTag(nil, l.field, protowire.BytesType), nil)
	for len(body)+len(one)+16 <= MaxMessage {
		body = append(body, one...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, l.body, protowire.BytesType), body)
}

// TestLongListsTakeNoMemory: a message of 4 MiB must not become hundreds when it is decoded.
func TestLongListsTakeNoMemory(t *testing.T) {
	for l, most := range longest {
		raw := long(l)
		if len(raw) > MaxMessage {
			t.Fatalf("the message has %d bytes", len(raw))
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decode(raw)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%d empty %s: %v", len(raw)/2, most.what, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<10 {
			t.Errorf("%d empty %s took %d KiB", len(raw)/2, most.what, took>>10)
		}
	}
}

func TestASecondBodyIsRefused(t *testing.T) {
	raw := encode(nothingMessage{journal: wireJournal(1)})
	if _, err := decode(append(raw, raw...)); !errors.Is(err, ErrProtocol) {
		t.Errorf("two bodies: %v", err)
	}
}

// TestPositionsInFoldersThatAreNotKeptAreBounded: a peer may name folders that come later, but not fill the memory with them.
func TestPositionsInFoldersThatAreNotKeptAreBounded(t *testing.T) {
	e, peer := newEngine(shoal.DeviceID{1}), shoal.DeviceID{2}
	now := time.Unix(1_800_000_000, 0)
	e.step(now, peerUp{peer: peer})
	e.step(now, peerReady{peer: peer})
	var leftOut bool
	for n := range byte(20) {
		m := frontierMessage{folder: shoal.FolderID{n + 1}, scope: scopeAll, positions: make(map[shoal.JournalID]position, maxPositions)}
		for range maxPositions {
			m.positions[shoal.JournalID{Device: shoal.DeviceID{3}, Nonce: rand.Uint64()}] = position{seq: 1}
		}
		for _, a := range e.step(now, frontierCame{peer: peer, m: m}) {
			_, out := a.(leaveOutPeer)
			leftOut = leftOut || out
		}
	}
	if n := e.peer(peer).positions(); n > maxPeerPositions {
		t.Errorf("%d positions are kept, %d may be", n, maxPeerPositions)
	}
	if !leftOut {
		t.Error("the peer is not left out")
	}
}
