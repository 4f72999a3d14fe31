package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// A vector is never edited, only added: -write-golden makes the file if it is missing and otherwise leaves it alone.
var writeGolden = flag.Bool("write-golden", false, "write the golden vectors if they do not exist yet")

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vector is an object, and what it decodes to or that it does not.
type vector struct {
	Name  string          `json:"name"`
	Kind  string          `json:"kind"` // entry, anchor, part
	Bytes hexBytes        `json:"bytes"`
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"` // malformed
}

func key(n byte) block.Key {
	return block.Key{Folder: shoal.FolderID{n % 2}, Epoch: shoal.EpochID{2}, ID: block.ID{3, n}, Sealed: [32]byte{4, n}}
}

func fullEntry() *Entry {
	return &Entry{
		Store: StoreID{1}, Number: 7, Before: Hash{2}, Nonce: [16]byte{3}, Made: 1_800_000_000, Until: 1_800_086_400,
		Pack: Pack{Name: PackName{4}, Size: 2000},
		Puts: []Put{
			{Key: key(1), Offset: packfile.FirstRecord, Length: 100},
			{Key: key(2), Offset: packfile.FirstRecord + packfile.RecordHeadSize + 100, Length: 200, From: 6},
		},
		Deletions: []block.Key{key(3)}, Pins: []block.Key{key(4), key(5)}, Aborts: []PackName{{5}},
	}
}

func emptyEntry() *Entry {
	return &Entry{Store: StoreID{1}, Number: 1, Before: Genesis(StoreID{1}), Puts: []Put{}, Deletions: []block.Key{}, Pins: []block.Key{}, Aborts: []PackName{}}
}

func fullAnchor() *Anchor {
	return &Anchor{Store: StoreID{1}, Nonce: [16]byte{2}, Number: 9, Chain: Hash{3}, Checkpoint: [16]byte{4}, Parts: []PartRef{{Size: 10, Hash: Hash{5}}}}
}

func newAnchor() *Anchor {
	return &Anchor{Store: StoreID{1}, Nonce: [16]byte{2}, Chain: Genesis(StoreID{1}), Parts: []PartRef{}}
}

func fullPart() *Part {
	return &Part{
		Packs:  []NumberedPack{{Number: 7, Pack: Pack{Name: PackName{4}, Size: 2000}}},
		Copies: []Copy{{Key: key(1), Place: packfile.Place{Pack: 7, Offset: packfile.FirstRecord}, Length: 100, Until: 5}},
	}
}

// resum gives an object that was changed a hash that fits.
func resum(b []byte) []byte {
	body := b[:len(b)-sumSize]
	sum := blake3.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func flip(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }

func buildVectors(t *testing.T) (out []vector) {
	good := func(name, kind string, b []byte, v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, vector{Name: name, Kind: kind, Bytes: b, Value: raw})
	}
	bad := func(name, kind string, b []byte) {
		out = append(out, vector{Name: name, Kind: kind, Bytes: b, Error: "malformed"})
	}
	entry, anchor, part := fullEntry().Encode(), fullAnchor().Encode(), fullPart().Encode()
	good("everything", "entry", entry, fullEntry())
	good("nothing", "entry", emptyEntry().Encode(), emptyEntry())
	good("with a checkpoint", "anchor", anchor, fullAnchor())
	good("new store", "anchor", newAnchor().Encode(), newAnchor())
	good("a pack and a copy", "part", part, fullPart())
	for kind, b := range map[string][]byte{"entry": entry, "anchor": anchor, "part": part} {
		bad("no bytes", kind, nil)
		bad("bit flipped", kind, flip(b, len(b)/2))
		bad("last byte missing", kind, b[:len(b)-1])
		bad("byte too many", kind, resum(append(append(bytes.Clone(b[:len(b)-sumSize]), 0), make([]byte, sumSize)...)))
		bad("format 2", kind, resum(flip(flip(b, 11), 10)))
		bad("other object", kind, resum(flip(b, 7)))
	}
	wrong := func(name string, change func(e *Entry)) {
		e := fullEntry()
		change(e)
		bad(name, "entry", e.Encode())
	}
	wrong("number 0", func(e *Entry) { e.Number = 0 })
	wrong("puts overlap", func(e *Entry) { e.Puts[1].Offset-- })
	wrong("put behind the end of the pack", func(e *Entry) { e.Pack.Size = 500 })
	wrong("put in the header of the pack", func(e *Entry) { e.Puts[0].Offset = 0 })
	wrong("block too long", func(e *Entry) { e.Puts[0].Length = block.MaxSealed + 1 })
	wrong("moved from the future", func(e *Entry) { e.Puts[1].From = 7 })
	wrong("pack without puts", func(e *Entry) { e.Puts = nil })
	wrong("puts without a pack", func(e *Entry) { e.Pack = Pack{} })
	odd := fullAnchor()
	odd.Number = 0
	bad("parts of no checkpoint", "anchor", odd.Encode())
	late := fullPart()
	late.Copies[0].Place.Pack = 0
	bad("copy in no pack", "part", late.Encode())
	return out
}

func decode(kind string, b []byte) (v any, again []byte, err error) {
	switch kind {
	case "entry":
		e, err := DecodeEntry(b)
		if err != nil {
			return nil, nil, err
		}
		return e, e.Encode(), nil
	case "anchor":
		a, err := DecodeAnchor(b)
		if err != nil {
			return nil, nil, err
		}
		return a, a.Encode(), nil
	}
	p, err := DecodePart(b)
	if err != nil {
		return nil, nil, err
	}
	return p, p.Encode(), nil
}

func TestGoldenVectors(t *testing.T) {
	path := filepath.Join("testdata", "ledger.json")
	if _, err := os.Stat(path); *writeGolden && errors.Is(err, os.ErrNotExist) {
		raw, err := json.MarshalIndent(buildVectors(t), "", "\t")
		if err != nil || os.MkdirAll("testdata", 0o755) != nil || os.WriteFile(path, append(raw, '\n'), 0o644) != nil {
			t.Fatal("write vectors", err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil || len(vectors) < 30 {
		t.Fatal(len(vectors), err)
	}
	for _, v := range vectors {
		got, again, err := decode(v.Kind, v.Bytes)
		if v.Error != "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: %v", v.Kind, v.Name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(again, v.Bytes) {
			t.Errorf("%s, %s: encodes to something else (%v)", v.Kind, v.Name, err)
			continue
		}
		want := reflect.New(reflect.TypeOf(got).Elem()).Interface()
		if err := json.Unmarshal(v.Value, want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, %s: got %+v, want %+v (%v)", v.Kind, v.Name, got, want, err)
		}
	}
}

func TestTheLargestObjectsAreWithinTheirLimits(t *testing.T) {
	e := emptyEntry()
	e.Number = 2
	for i := range MaxList {
		k := func(kind byte) block.Key {
			return block.Key{Folder: shoal.FolderID{kind, byte(i), byte(i >> 8)}, Sealed: [32]byte{1}}
		}
		e.Puts = append(e.Puts, Put{Key: k(1), Offset: uint32(packfile.FirstRecord + i*200), Length: 50})
		e.Deletions, e.Pins, e.Aborts = append(e.Deletions, k(2)), append(e.Pins, k(3)), append(e.Aborts, PackName{1})
	}
	e.Pack = Pack{Name: PackName{1}, Size: uint32(packfile.FirstRecord + MaxList*200)}
	b := e.Encode()
	if _, err := DecodeEntry(b); err != nil || len(b) < MaxEntry*9/10 {
		t.Errorf("entry of %d bytes: %v", len(b), err)
	}
	var p, q Part
	for i := range MaxCopies {
		p.Copies = append(p.Copies, Copy{Key: block.Key{Folder: shoal.FolderID{byte(i), byte(i >> 8), byte(i >> 16)}}, Place: packfile.Place{Pack: 1, Offset: packfile.FirstRecord}, Length: 1})
	}
	for range MaxPacks {
		q.Packs = append(q.Packs, NumberedPack{Number: 1})
	}
	for _, part := range []Part{p, q} {
		b := part.Encode()
		if _, err := DecodePart(b); err != nil || len(b) < MaxPart*9/10 {
			t.Errorf("part of %d bytes: %v", len(b), err)
		}
	}
	a := fullAnchor()
	a.Parts = make([]PartRef, MaxParts)
	for i := range a.Parts {
		a.Parts[i].Size = 1
	}
	if b := a.Encode(); len(b) != MaxAnchor {
		t.Errorf("anchor of %d bytes, want %d", len(b), MaxAnchor)
	} else if _, err := DecodeAnchor(b); err != nil {
		t.Error(err)
	}
}

// fuzz feeds a decoder. Nobody guesses a hash, so it is made to fit.
func fuzz(f *testing.F, kind string, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < sumSize {
			return
		}
		b = resum(b)
		if _, again, err := decode(kind, b); err == nil && !bytes.Equal(again, b) {
			t.Fatal("encodes to something else")
		} else if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
}

// FuzzDecodeEntry: what is accepted is valid and encodes to the same bytes.
func FuzzDecodeEntry(f *testing.F) { fuzz(f, "entry", fullEntry().Encode(), emptyEntry().Encode()) }

// FuzzDecodeAnchor: what is accepted is valid and encodes to the same bytes.
func FuzzDecodeAnchor(f *testing.F) { fuzz(f, "anchor", fullAnchor().Encode(), newAnchor().Encode()) }

// FuzzDecodePart: what is accepted is valid and encodes to the same bytes.
func FuzzDecodePart(f *testing.F) { fuzz(f, "part", fullPart().Encode()) }
