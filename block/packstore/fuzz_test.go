package packstore

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// FuzzMendPack: after mending, the headers alone tell the same as the blocks, the pack ends with its last record, and mending again
// changes nothing.
func FuzzMendPack(f *testing.F) {
	for _, v := range buildPackVectors() {
		f.Add([]byte(v.Pack))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		file := &fakeFile{data: bytes.Clone(raw)}
		h := &fakeHandle{disk: newFakeDisk(), file: file}
		head, err := readHead(h, 7)
		if err != nil {
			return
		}
		ctx := context.Background()
		end, err := mend(ctx, h, head, packfile.FirstRecord, int64(len(raw)))
		must(t, err)
		var byHead, byBlock []uint32
		must(t, packfile.WalkHeads(ctx, h, &head.Salt, packfile.FirstRecord, end, func(r packfile.Found) error { byHead = append(byHead, r.Offset); return nil }))
		must(t, packfile.WalkBlocks(ctx, h, &head.Salt, packfile.FirstRecord, end, func(r packfile.Found) error { byBlock = append(byBlock, r.Offset); return nil }))
		if !slices.Equal(byHead, byBlock) || int64(len(file.data)) != end {
			t.Fatalf("%d bytes: headers at %v, blocks at %v", len(file.data), byHead, byBlock)
		}
		mended := bytes.Clone(file.data)
		again, err := mend(ctx, h, head, packfile.FirstRecord, end)
		must(t, err)
		if again != end || !bytes.Equal(file.data, mended) {
			t.Fatal("mending twice is another thing than once")
		}
	})
}

// FuzzOpenPack is slow, for it writes real indexes; run it with -fuzzminimizetime=1x. Whatever lies in the newest pack, the store opens, is sound, and opens again to the same blocks, with its index and
// without it.
func FuzzOpenPack(f *testing.F) {
	for _, v := range buildPackVectors() {
		f.Add([]byte(v.Pack))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<20 {
			return // nothing that a smaller one would not show
		}
		r := storeWithPack(t, 7, raw)
		held := make(map[block.Key][]byte)
		must(t, r.s.Keys(context.Background(), func(k block.Key, size int) error { held[k] = nil; return nil }))
		for k := range held {
			sealed, err := r.s.Get(context.Background(), k)
			must(t, err)
			held[k] = sealed
		}
		r.check(held)
		r.reopen()
		r.check(held)
		must(t, r.s.Close())
		must(t, removeIndex(r.dir))
		r.open()
		r.check(held)
	})
}
