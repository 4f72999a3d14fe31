package packstore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// A vector is never edited, only added: -write-golden makes the file if it is missing and otherwise leaves it alone.
var writeGolden = flag.Bool("write-golden", false, "write the golden vectors if they do not exist yet")

// hexBytes is a byte string that JSON shows in hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// packVector is the newest pack of a store as a crash may leave it, and what a store makes of it without an index.
type packVector struct {
	Name   string        `json:"name"`
	Pack   hexBytes      `json:"pack"`
	Number uint32        `json:"number"`
	Blocks []blockVector `json:"blocks"`          // all that count
	Size   int64         `json:"size,omitempty"`  // of the pack, once mended
	Error  string        `json:"error,omitempty"` // "header": the pack is set aside
}

type blockVector struct {
	Folder hexBytes `json:"folder"`
	Epoch  hexBytes `json:"epoch"`
	ID     hexBytes `json:"id"`
	Sealed hexBytes `json:"sealed"`
	Offset uint32   `json:"offset"`
}

// packBuilder writes a pack by hand.
type packBuilder struct {
	head packfile.Head
	raw  []byte
	all  []blockVector
}

func newPackBuilder() *packBuilder {
	b := &packBuilder{head: packfile.Head{Number: 7, Salt: [32]byte([]byte("the salt of all golden packs 32b"))}}
	b.raw = b.head.Encode()
	return b
}

// block appends a block and returns its offset.
func (b *packBuilder) block(sealed string) uint32 {
	at := uint32(len(b.raw))
	k := block.Key{Folder: shoal.FolderID{1}, Epoch: shoal.EpochID{2}, ID: block.ID{3, byte(at)}, Sealed: block.SealedHash([]byte(sealed))}
	r := packfile.Record{Kind: packfile.KindBlock, Length: uint32(len(sealed)), Key: k}
	head := r.Encode(&b.head.Salt, at)
	b.raw = append(append(b.raw, head[:]...), sealed...)
	b.all = append(b.all, blockVector{k.Folder[:], k.Epoch[:], k.ID[:], []byte(sealed), at})
	return at
}

// deletion appends the deletion of b.all[i], which it forgets.
func (b *packBuilder) deletion(i int) {
	v := b.all[i]
	k := block.Key{Folder: shoal.FolderID(v.Folder), Epoch: shoal.EpochID(v.Epoch), ID: block.ID(v.ID), Sealed: block.SealedHash(v.Sealed)}
	r := packfile.Record{Kind: packfile.KindDeletion, Key: k, Gone: packfile.Place{Pack: b.head.Number, Offset: v.Offset}}
	head := r.Encode(&b.head.Salt, uint32(len(b.raw)))
	b.raw = append(b.raw, head[:]...)
	b.all = append(b.all[:i:i], b.all[i+1:]...)
}

func buildPackVectors() (out []packVector) {
	add := func(name string, raw []byte, size int, blocks ...blockVector) {
		out = append(out, packVector{Name: name, Pack: bytes.Clone(raw), Number: 7, Blocks: blocks, Size: int64(size)})
	}
	flip := func(raw []byte, at ...uint32) []byte {
		raw = bytes.Clone(raw)
		for _, i := range at {
			raw[i] ^= 1
		}
		return raw
	}
	b := newPackBuilder()
	add("empty", b.raw, len(b.raw))
	first := b.block("first sealed block")
	second := b.block("second")
	third := b.block("third sealed block")
	full, all := bytes.Clone(b.raw), append([]blockVector(nil), b.all...)
	n := len(full)
	add("three blocks", full, n, all...)
	add("first copy of the header damaged", flip(full, 20), n, all...)
	add("second copy of the header damaged", flip(full, 84), n, all...)
	out = append(out, packVector{Name: "both copies damaged", Pack: flip(full, 20, 84), Number: 7, Error: "header"})
	out = append(out, packVector{Name: "another pack's name", Pack: full, Number: 8, Error: "header"})
	out = append(out, packVector{Name: "header cut off", Pack: full[:40], Number: 7, Error: "header"})
	format2 := newPackBuilder()
	format2.raw[11]++
	out = append(out, packVector{Name: "format 2 with a checksum of format 1", Pack: append(format2.raw[:packfile.FirstRecord/2:packfile.FirstRecord/2], format2.raw[:packfile.FirstRecord/2]...), Number: 7, Error: "header"})
	add("last byte missing", full[:n-1], int(third), all[:2]...)
	add("record header cut off", full[:third+100], int(third), all[:2]...)
	add("zeros behind the last record", append(bytes.Clone(full), make([]byte, 500)...), n, all...)
	add("key damaged", flip(full, second+60), n, all[0], all[2])
	add("checksum damaged", flip(full, second+packfile.RecordHeadSize-12), n, all[0], all[2])
	add("kind damaged", flip(full, second+4), n, all[0], all[2])
	add("block damaged", flip(full, second+packfile.RecordHeadSize), n, all[0], all[2])
	add("last block damaged", flip(full, third+packfile.RecordHeadSize), int(third), all[:2]...)
	add("first record moved", append(append(bytes.Clone(full[:first]), 0), full[first:]...), packfile.FirstRecord)
	b.deletion(0)
	add("first block deleted", b.raw, len(b.raw), all[1:]...)
	add("deletion damaged", flip(b.raw, uint32(n)+130), n, all...)
	return out
}

func TestGoldenPacks(t *testing.T) {
	path := filepath.Join("testdata", "packs.json")
	if _, err := os.Stat(path); *writeGolden && errors.Is(err, os.ErrNotExist) {
		text, err := json.MarshalIndent(buildPackVectors(), "", "  ")
		must(t, err)
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, append(text, '\n'), 0o644))
	}
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	must(t, err)
	var vectors []packVector
	must(t, json.Unmarshal(text, &vectors))
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { checkPackVector(t, v) })
	}
}

func checkPackVector(t *testing.T, v packVector) {
	_, headErr := readHead(&fakeHandle{disk: newFakeDisk(), file: &fakeFile{data: v.Pack}}, v.Number)
	if (v.Error == "header") != errors.Is(headErr, packfile.ErrHead) {
		t.Errorf("header: %v", headErr)
	}
	r := storeWithPack(t, v.Number, v.Pack)
	want := make(map[block.Key][]byte)
	for _, b := range v.Blocks {
		k := block.Key{Folder: shoal.FolderID(b.Folder), Epoch: shoal.EpochID(b.Epoch), ID: block.ID(b.ID), Sealed: block.SealedHash(b.Sealed)}
		want[k] = b.Sealed
		if copies, err := r.s.lookup(k); err != nil || len(copies) != 1 || copies[0].place != (packfile.Place{Pack: v.Number, Offset: b.Offset}) {
			t.Errorf("block at %d: %+v, %v", b.Offset, copies, err)
		}
	}
	r.check(want)
	if v.Error == "" && int64(len(r.disk.names[packName(v.Number)].data)) != v.Size {
		t.Errorf("mended to %d bytes, want %d", len(r.disk.names[packName(v.Number)].data), v.Size)
	}
}

// storeWithPack opens a store without index that has this pack only.
func storeWithPack(t testing.TB, number uint32, raw []byte) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, disk: newFakeDisk(), dir: dir}
	r.disk.names[packName(number)] = &fakeFile{data: bytes.Clone(raw), durable: bytes.Clone(raw)}
	r.open()
	t.Cleanup(r.abandon)
	return r
}
