package blockexchange

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// A vault stores what it gets as it comes, so the LAN being fast is no reason to send it what is big.
func TestWhatGoesToAVaultIsCompressedAlsoOnTheLAN(t *testing.T) {
	const vault, other = 1, 2
	b := newBench(t)
	for _, row := range []struct {
		name string
		peer int
		cost Cost
		c    block.Compression
		want block.Compression
	}{
		{"a device on the LAN", other, CostLAN, block.Auto, block.Off},
		{"a device far away", other, CostDirect, block.Auto, block.Auto},
		{"a device by relay", other, CostRelay, block.Auto, block.Auto},
		{"a vault on the LAN", vault, CostLAN, block.Auto, block.Tight},
		{"a vault far away", vault, CostDirect, block.Auto, block.Tight},
		{"a vault by relay", vault, CostRelay, block.Auto, block.Tight},
		{"a vault, never compressed", vault, CostDirect, block.Off, block.Off},
		{"a device on the LAN, always tried", other, CostLAN, block.On, block.On},
	} {
		x := New(Config{Host: b.net.host(device(9)), Source: newMemorySource(), Keys: func(shoal.FolderID) *mesh.FolderKeys { return b.keys }, Compression: row.c,
			IsKeeper: func(d shoal.DeviceID) bool { return d == device(vault) }})
		x.PeerUp(device(row.peer), row.cost)
		if got := (&server{x: x, peer: device(row.peer)}).compression(); got != row.want {
			t.Errorf("%s: compression %d, want %d", row.name, got, row.want)
		}
	}
}

// A vault does not know how big a block is: there is room for the biggest, and what comes is as big as it is.
func TestAVaultGetsBlocksOfEverySizeCompressed(t *testing.T) {
	b := newBench(t)
	src, plain := newMemorySource(), map[block.ID][]byte{}
	var wants []Want
	for i, size := range []int{1, 40, 1000, 1 << 10, 64 << 10, 64<<10 + 1, 256 << 10, block.MaxSize - 1, block.MaxSize} {
		text := strings.Repeat(fmt.Sprintf("a line of text that is number %d\n", i), size/30+1)[:size]
		id := b.names.ID([]byte(text))
		src.put(id, []byte(text))
		plain[id] = []byte(text)
		wants = append(wants, Want{Folder: b.folder, Block: id, Epoch: b.epoch})
	}
	b.with(2, Config{Source: intoBuf{src}})
	v := b.with(1, Config{Keeper: &memoryKeeper{}})
	v.PeerUp(device(2), CostLAN)
	epoch, _ := b.keys.Epoch(b.epoch)
	came := 0
	must(t, v.FetchSealed(t.Context(), wants, func(w Want, _ shoal.DeviceID, sealed []byte) error {
		came++
		want := plain[w.Block]
		got, err := block.Open(nil, block.SealKey(epoch.Seal), b.epoch, b.names, w.Block, sealed)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("block of %d bytes: opened to %d, %v", len(want), len(got), err)
		}
		if len(want) >= 1000 && len(sealed) > len(want)/3 {
			t.Errorf("block of %d bytes was sealed to %d", len(want), len(sealed))
		}
		return nil
	}))
	if came != len(wants) {
		t.Errorf("%d blocks came", came)
	}
}

// intoBuf reads into the room that it is given, as the disk does.
type intoBuf struct{ *memorySource }

func (s intoBuf) Block(ctx context.Context, w Want, buf []byte) ([]byte, error) {
	if w.Size == 0 && len(buf) != block.MaxSize {
		return nil, fmt.Errorf("room for %d bytes", len(buf))
	}
	data, err := s.memorySource.Block(ctx, w, nil)
	return append(buf[:0:len(buf)], data...), err
}
