package block

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

// The golden vectors are text for other implementations too; docs/formats says what the fields mean. A vector is never edited,
// only added: -write-golden makes files that are missing and leaves the others alone.
var writeGolden = flag.Bool("write-golden", false, "write the golden vectors that do not exist yet")

// hexBytes is a byte string that JSON shows in hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// input says where the bytes of a vector come from: Hex itself, else the first Size bytes of BLAKE3's output for Seed.
type input struct {
	Hex  hexBytes `json:"hex,omitempty"`
	Seed string   `json:"blake3_xof_of,omitempty"`
	Size int      `json:"size,omitempty"`
}

func (in input) bytes() []byte {
	if in.Seed != "" {
		return pseudoRandom(in.Seed, in.Size)
	}
	return in.Hex
}

// goldenErrors are the names of errors in vectors.
var goldenErrors = map[string]error{
	"malformed": ErrMalformed, "too large": ErrTooLarge,
	"truncated": ErrTruncated, "oversized": ErrOversized, "format": ErrFormat, "flags": ErrFlags,
	"tag": ErrTag, "padding": ErrPadding, "inflate": ErrInflate, "content": ErrContent,
}

// checkGoldenError compares an error with the name that a vector has for it; "" means none.
func checkGoldenError(t *testing.T, name, want string, err error) {
	t.Helper()
	if want == "" && err == nil {
		return
	}
	if sentinel := goldenErrors[want]; sentinel == nil || !errors.Is(err, sentinel) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// golden returns the vectors of a file; with -write-golden it first writes what make returns, if there is no such file.
func golden[T any](t *testing.T, file string, build func() []T) []T {
	t.Helper()
	path := filepath.Join("testdata", file)
	if _, err := os.Stat(path); *writeGolden && errors.Is(err, os.ErrNotExist) {
		text, err := json.MarshalIndent(build(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var vectors []T
	if err := decoder.Decode(&vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%s: %d vectors, %v", path, len(vectors), err)
	}
	return vectors
}

var goldenKeys = Keys{Chunker: [32]byte([]byte("the chunker key of golden vector")), BlockID: [32]byte([]byte("the block-ID key of all vectors."))}

type nameVector struct {
	Name    string   `json:"name"`
	BlockID hexBytes `json:"block_id_key"`
	Input   input    `json:"plaintext"`
	ID      hexBytes `json:"id"`
	CID     string   `json:"cid"`
	Label   string   `json:"digest_label"`
	Digest  hexBytes `json:"digest"` // of the label and the plaintext, twice
}

func TestGoldenNames(t *testing.T) {
	digest := func(k *Keys, label string, data []byte) [32]byte { return k.Digest(label, data, data) }
	vectors := golden(t, "names.json", func() (out []nameVector) {
		for name, in := range map[string]input{
			"one byte":      {Hex: hexBytes{0}},
			"a word":        {Hex: hexBytes("shoal")},
			"one chunk":     {Seed: "names", Size: 1024},
			"many chunks":   {Seed: "names", Size: 100_000},
			"biggest block": {Seed: "names", Size: MaxSize},
		} {
			data := in.bytes()
			id, sum := goldenKeys.ID(data), digest(&goldenKeys, "test label", data)
			out = append(out, nameVector{name, goldenKeys.BlockID[:], in, id[:], id.CIDString(), "test label", sum[:]})
		}
		slices.SortFunc(out, func(a, b nameVector) int { return len(a.Input.bytes()) - len(b.Input.bytes()) })
		return out
	})
	for _, v := range vectors {
		keys := &Keys{BlockID: [32]byte(v.BlockID)}
		data := v.Input.bytes()
		id, sum := keys.ID(data), digest(keys, v.Label, data)
		if !bytes.Equal(id[:], v.ID) || id.CIDString() != v.CID || !bytes.Equal(sum[:], v.Digest) {
			t.Errorf("%s: ID %x, CID %s, digest %x", v.Name, id[:], id, sum)
		}
		if back, err := ParseCID(v.CID); back != id || err != nil {
			t.Errorf("%s: CID parses to %x, %v", v.Name, back[:], err)
		}
	}
}

type cutVector struct {
	Name    string   `json:"name"`
	Chunker hexBytes `json:"chunker_key"`
	Input   input    `json:"file"`
	Repeat  int      `json:"repeat"` // the file is that often the input
	Sizes   []int    `json:"block_sizes"`
}

func TestGoldenCuts(t *testing.T) {
	cutFile := func(v cutVector) []int {
		c := NewChunker(bytes.NewReader(bytes.Repeat(v.Input.bytes(), v.Repeat)), [32]byte(v.Chunker))
		return sizes(cutAll(t, c))
	}
	vectors := golden(t, "cuts.json", func() []cutVector {
		key := goldenKeys.Chunker[:]
		out := []cutVector{
			{"random", key, input{Seed: "cuts", Size: 5 << 20}, 1, nil},
			{"other key", make([]byte, 32), input{Seed: "cuts", Size: 5 << 20}, 1, nil},
			{"smallest block", key, input{Seed: "cuts", Size: MinSize}, 1, nil},
			{"smallest block and a byte", key, input{Seed: "cuts", Size: MinSize + 1}, 1, nil},
			{"one byte", key, input{Hex: hexBytes{1}}, 1, nil},
			{"zeros", key, input{Hex: make(hexBytes, 16)}, 200_000, nil},
			{"period of 100,000 bytes", key, input{Seed: "period", Size: 100_000}, 30, nil},
			{"period of 61 bytes", key, input{Seed: "short period", Size: 61}, 40_000, nil},
		}
		for i := range out {
			out[i].Sizes = cutFile(out[i])
		}
		return out
	})
	for _, v := range vectors {
		if got := cutFile(v); !equalInts(got, v.Sizes) {
			t.Errorf("%s: cut into %v, want %v", v.Name, got, v.Sizes)
		}
	}
}

type sealVector struct {
	Name    string   `json:"name"`
	SealKey hexBytes `json:"seal_key"`
	Epoch   hexBytes `json:"epoch"`
	BlockID hexBytes `json:"block_id_key"`
	ID      hexBytes `json:"id"`
	Sealed  hexBytes `json:"sealed"`
	Plain   hexBytes `json:"plaintext,omitempty"` // when it opens
	Error   string   `json:"error,omitempty"`     // when it does not
}

func TestGoldenSealedBlocks(t *testing.T) {
	for _, v := range golden(t, "sealed.json", buildSealVectors) {
		got, err := Open(nil, SealKey(v.SealKey), shoal.EpochID(v.Epoch), &Keys{BlockID: [32]byte(v.BlockID)}, ID(v.ID), v.Sealed)
		checkGoldenError(t, v.Name, v.Error, err)
		if !bytes.Equal(got, v.Plain) {
			t.Errorf("%s: opened to %x", v.Name, got)
		}
		if v.Error != "" {
			continue
		}
		nonce := bytes.NewReader(v.Sealed[2:headSize])
		again, err := Seal(nil, SealKey(v.SealKey), shoal.EpochID(v.Epoch), ID(v.ID), v.Plain, Off, nonce)
		if err != nil || v.Sealed[1] == 0 && !bytes.Equal(again, v.Sealed) {
			t.Errorf("%s: sealed again it is %x (%v)", v.Name, again, err)
		}
	}
}

var goldenSealKey, goldenEpoch = SealKey{0x5e, 0xa1}, shoal.EpochID{0xe0}

// sealRaw seals what Seal would not: any flags and any bytes inside.
func sealRaw(id ID, flags byte, inner []byte) []byte {
	out := append([]byte{sealFormat, flags}, "golden nonce"...)
	aead := new(sealer)
	return aead.prepare(&goldenSealKey, &goldenEpoch, &id, flags).Seal(out, out[2:headSize], inner, aead.ad)
}

// inside returns payload, that many bytes of padding and the two sizes.
func inside(payload []byte, padding []byte, plain, size uint32) []byte {
	out := append(bytes.Clone(payload), padding...)
	return append(out, byte(plain>>24), byte(plain>>16), byte(plain>>8), byte(plain), byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
}

func buildSealVectors() (out []sealVector) {
	add := func(name string, id ID, sealed, plain []byte, err string) {
		out = append(out, sealVector{name, goldenSealKey[:], goldenEpoch[:], goldenKeys.BlockID[:], id[:], sealed, plain, err})
	}
	seal := func(plain []byte, c Compression) (ID, []byte) {
		id := goldenKeys.ID(plain)
		sealed, err := Seal(nil, goldenSealKey, goldenEpoch, id, plain, c, bytes.NewReader([]byte("golden nonce")))
		if err != nil {
			panic(err)
		}
		return id, sealed
	}
	text := bytes.Repeat([]byte("All work and no play makes Jack a dull boy. "), 20)
	word := []byte("shoal")
	for name, plain := range map[string][]byte{"one byte": {0}, "one word": word, "no padding needed": pseudoRandom("golden", 248)} {
		id, sealed := seal(plain, Off)
		add(name, id, sealed, plain, "")
	}
	textID, packed := seal(text, On)
	add("compressed", textID, packed, text, "")
	id, sealed := seal(word, Off)
	changed := func(at int, to byte) []byte { b := bytes.Clone(sealed); b[at] = to; return b }
	add("empty", id, nil, nil, "truncated")
	add("too short", id, sealed[:MinSealed-1], nil, "truncated")
	add("last byte missing", id, sealed[:len(sealed)-1], nil, "tag")
	add("trailing byte", id, append(bytes.Clone(sealed), 0), nil, "tag")
	add("format 0", id, changed(0, 0), nil, "format")
	add("format 2", id, changed(0, 2), nil, "format")
	add("unknown flag", id, changed(1, 2), nil, "flags")
	add("flag changed", id, changed(1, 1), nil, "tag")
	add("nonce changed", id, changed(2, 0), nil, "tag")
	add("ciphertext changed", id, changed(headSize, sealed[headSize]^1), nil, "tag")
	add("another block's ID", textID, sealed, nil, "tag")
	add("another content", id, sealRaw(id, 0, inside([]byte("SHOAL"), []byte{0}, 5, 5)), nil, "content")
	add("padding not zero", id, sealRaw(id, 0, inside(word, []byte{1}, 5, 5)), nil, "padding")
	add("too much padding", id, sealRaw(id, 0, inside(word, []byte{0, 0, 0}, 5, 5)), nil, "padding")
	add("no padding where some is due", id, sealRaw(id, 0, inside(word, nil, 5, 5)), nil, "padding")
	add("payload size beyond the end", id, sealRaw(id, 0, inside(word, []byte{0}, 5, 7)), nil, "padding")
	add("payload size 2^32-1", id, sealRaw(id, 0, inside(word, []byte{0}, 5, 1<<32-1)), nil, "padding")
	add("payload empty", id, sealRaw(id, 0, inside(word, []byte{0}, 5, 0)), nil, "padding")
	add("plain size 0", id, sealRaw(id, 0, inside(word, []byte{0}, 0, 5)), nil, "padding")
	add("plain size differs without compression", id, sealRaw(id, 0, inside(word, []byte{0}, 4, 5)), nil, "padding")
	frame := deflate(nil, text, On)
	padding := make([]byte, Padme(len(frame)+trailerSize)-trailerSize-len(frame))
	n := uint32(len(frame))
	add("plain size above the limit", textID, sealRaw(textID, flagCompressed, inside(frame, padding, MaxSize+1, n)), nil, "padding")
	add("inflates to more than it says", textID, sealRaw(textID, flagCompressed, inside(frame, padding, uint32(len(text)-1), n)), nil, "inflate")
	add("inflates to less than it says", textID, sealRaw(textID, flagCompressed, inside(frame, padding, uint32(len(text)+1), n)), nil, "inflate")
	add("no zstd frame", id, sealRaw(id, flagCompressed, inside(word, []byte{0}, 5, 5)), nil, "inflate")
	return out
}
