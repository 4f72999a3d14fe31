//go:build !race

package blockexchange

// The race detector makes pools forget.

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// What is sealed for a vault lies in memory that is used again, however big the room for a block of unknown size is.
func TestServingAVaultTakesLittleNewMemoryForEachBlock(t *testing.T) {
	b := newBench(t)
	src := newMemorySource()
	text := bytes.Repeat([]byte("a line of text\n"), 200)
	id := b.names.ID(text)
	src.put(id, text)
	x := New(Config{Host: b.net.host(device(9)), Source: intoBuf{src}, Keys: func(shoal.FolderID) *mesh.FolderKeys { return b.keys },
		IsKeeper: func(shoal.DeviceID) bool { return true }})
	s := &server{x: x, peer: device(1)}
	var before, after runtime.MemStats
	const rounds = 200
	for i := range 2 * rounds {
		if i == rounds {
			runtime.ReadMemStats(&before)
		}
		sealed, err := s.seal(t.Context(), Want{Folder: b.folder, Block: id, Epoch: b.epoch})
		must(t, err)
		sealedBuffers.put(sealed)
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / rounds; got > block.MaxSize/2 {
		t.Errorf("%d bytes are allocated for a block of %d", got, len(text))
	}
}
