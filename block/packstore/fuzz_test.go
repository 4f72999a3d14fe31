package packstore

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal/block"
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
		end, err := mend(ctx, h, head, firstRecord, int64(len(raw)))
		must(t, err)
		var byHead, byBlock []uint32
		must(t, walkHeads(ctx, h, &head.salt, firstRecord, end, func(r found) error { byHead = append(byHead, r.place); return nil }))
		must(t, walkBlocks(ctx, h, &head.salt, firstRecord, end, func(r found) error { byBlock = append(byBlock, r.place); return nil }))
		if !slices.Equal(byHead, byBlock) || int64(len(file.data)) != end {
			t.Fatalf("%d bytes: headers at %v, blocks at %v", len(file.data), byHead, byBlock)
		}
		mended := bytes.Clone(file.data)
		again, err := mend(ctx, h, head, firstRecord, end)
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

// FuzzDecodeRecord: what is accepted is valid and encodes to the same bytes.
func FuzzDecodeRecord(f *testing.F) {
	b := newPackBuilder()
	at := b.block("a sealed block")
	f.Add(b.raw[at:], at)
	b.deletion(0)
	f.Add(b.raw[len(b.raw)-recordHeadSize:], uint32(len(b.raw)-recordHeadSize))
	f.Fuzz(func(t *testing.T, raw []byte, offset uint32) {
		if len(raw) < recordHeadSize {
			return
		}
		// Nobody guesses a checksum, so it is made to fit: what the fields say is what is looked at.
		raw = bytes.Clone(raw[:recordHeadSize])
		sum := recordSum(&b.head.salt, raw[:recordSumAt], offset)
		copy(raw[recordSumAt:], sum[:])
		r, err := decodeRecord(raw, &b.head.salt, offset)
		if err != nil {
			return
		}
		must(t, r.validate())
		if again := r.encode(&b.head.salt, offset); !bytes.Equal(again[:], raw) {
			t.Fatal("encodes to something else")
		}
	})
}
