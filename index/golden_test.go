package index

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/mesh"
)

// The golden vectors are text for other implementations too; docs/formats says what the fields mean. A vector is never edited,
// only added: -write-golden makes files that are missing and leaves the others alone.
var writeGolden = flag.Bool("write-golden", false, "write the golden vectors that do not exist yet")

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// goldenErrors are the names of errors in vectors.
var goldenErrors = map[string]error{
	"malformed": ErrMalformed, "forged": ErrForged, "not canonical": errNotCanonical, "does not open": errDoesNotOpen,
	"wrong blocks": errWrongBlocks,
}

// golden reads a file of vectors; with -write-golden it writes those of make first, if there is no file.
func golden[T any](t *testing.T, file string, make func() []T) []T {
	t.Helper()
	path := filepath.Join("testdata", file)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && *writeGolden {
		data, err := json.MarshalIndent(make(), "", "  ")
		must(t, err)
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, append(data, '\n'), 0o644))
	}
	data, err := os.ReadFile(path)
	must(t, err)
	var out []T
	must(t, json.Unmarshal(data, &out))
	return out
}

// recordVector is one record, and what it takes to open it.
type recordVector struct {
	Name       string   `json:"name"`
	RecordKey  hexBytes `json:"record_key"`
	NonceKey   hexBytes `json:"nonce_key"`
	BlockIDKey hexBytes `json:"block_id_key"`
	Record     hexBytes `json:"record"`
	Hash       hexBytes `json:"hash"`
	Error      string   `json:"error,omitempty"` // what must be said of it; then what follows is missing

	Clear   hexBytes `json:"clear,omitempty"`
	Entry   hexBytes `json:"entry,omitempty"`
	Path    hexBytes `json:"path,omitempty"`
	Kind    string   `json:"kind,omitempty"`
	Content hexBytes `json:"content,omitempty"`
	Seq     uint64   `json:"seq,omitempty"`
	Slot    uint64   `json:"slot,omitempty"`
}

// openVector does with a record what a device does that receives it.
func openVector(v *recordVector) (*clearPart, *Entry, []byte, error) {
	clear, sealed, err := splitRecord(v.Record)
	if err != nil {
		return nil, nil, nil, err
	}
	c, canonical, err := decodeClear(clear)
	if err != nil {
		return nil, nil, nil, err
	}
	if !canonical {
		return nil, nil, nil, errNotCanonical
	}
	epoch := mesh.Epoch{Record: [32]byte(v.RecordKey), Nonce: [32]byte(v.NonceKey)}
	data, err := newSealer(&epoch).openPart(recordAD(clear), sealed)
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := decodeEntry(data, shoal.Dot{Journal: c.journal, Seq: c.seq}, &block.Keys{BlockID: [32]byte(v.BlockIDKey)})
	if err != nil {
		return nil, nil, nil, err
	}
	return c, e, data, checkRefs(c, e)
}

func TestGoldenRecords(t *testing.T) {
	for _, v := range golden(t, "records.json", makeRecordVectors) {
		t.Run(v.Name, func(t *testing.T) {
			hash := recordHash(v.Record)
			if !bytes.Equal(hash[:], v.Hash) {
				t.Errorf("hash %x", hash)
			}
			c, e, data, err := openVector(&v)
			if v.Error != "" {
				if !errors.Is(err, goldenErrors[v.Error]) || goldenErrors[v.Error] == nil {
					t.Errorf("got %v, want %q", err, v.Error)
				}
				return
			}
			must(t, err)
			if !bytes.Equal(c.encode(), v.Clear) || !bytes.Equal(data, v.Entry) || !bytes.Equal(encodeEntry(e, c.journal), v.Entry) {
				t.Errorf("clear part %x, entry %x", c.encode(), encodeEntry(e, c.journal))
			}
			if string(e.Path) != string(v.Path) || e.Kind.String() != v.Kind || !bytes.Equal(e.Content[:], v.Content) || uint64(c.seq) != v.Seq || uint64(c.slot) != v.Slot {
				t.Errorf("means %+v", e)
			}
			epoch := mesh.Epoch{Record: [32]byte(v.RecordKey), Nonce: [32]byte(v.NonceKey)}
			if again := newSealer(&epoch).seal(v.Clear, v.Entry); !bytes.Equal(again, v.Record) {
				t.Errorf("seals to %x", again)
			}
		})
	}
}

// makeRecordVectors made testdata/records.json.
func makeRecordVectors() []recordVector {
	other := shoal.JournalID{Device: shoal.DeviceID(filled(0x20)), Nonce: 7}
	clear := func(change func(*clearPart)) *clearPart {
		c := &clearPart{mesh: filled(7), folder: shoal.FolderID{8}, epoch: testEpoch.ID, journal: testOwn, seq: 5, slot: 5}
		change(c)
		return c
	}
	one := block.Recipe{{ID: block.ID(filled(0x31)), Size: 1000}}
	withOne := func(c *clearPart) { c.refs = []block.EpochRef{{ID: one[0].ID, Epoch: c.epoch}} }
	vector := func(name string, c *clearPart, entry []byte, failure string) recordVector {
		return sealVector(name, newSealer(&testEpoch).seal(c.encode(), entry), failure)
	}
	valid := func(name string, c *clearPart, e Entry) recordVector {
		return vector(name, c, encodeEntry(&e, testOwn), "")
	}
	file := Entry{Path: "a/b.txt", Kind: shoal.KindFile, Mode: 0o644, MTime: 1_700_000_000_123_456_789, Recipe: one, Time: 1_700_000_001_000_000_000}
	edited := file
	edited.Version = conflict.Version{{Journal: other, Seq: 3}}
	edited.ContentFrom, edited.ModeFrom = shoal.Dot{Journal: testOwn, Seq: 2}, shoal.Dot{Journal: other, Seq: 3}
	edited.Replaced, edited.Carried = block.ContentID(filled(0x41)), true
	long := file
	long.Recipe, long.RecipeParts, long.Size, long.Content = nil, one, 99_000_000, block.ContentID(filled(0x42))
	long.Epochs = []EpochRun{{Count: 300}, {Epoch: filled(0x43), Count: 1}}
	empty := file
	empty.Recipe = nil
	badPath := file
	badPath.Path = "a/../b"
	raw := func(name string, record []byte, failure string) recordVector {
		return sealVector(name, record, failure)
	}
	sound := newSealer(&testEpoch).seal(clear(withOne).encode(), encodeEntry(&file, testOwn))
	spoiled := bytes.Clone(sound)
	spoiled[len(spoiled)-1] ^= 1
	return []recordVector{
		valid("small file", clear(withOne), file),
		valid("edited file, in a commit", clear(func(c *clearPart) {
			c.slot, c.more = 2, true
			c.refs = []block.EpochRef{{ID: one[0].ID, Epoch: c.epoch}}
			c.replaces = []shoal.Dot{{Journal: other, Seq: 3}}
		}), edited),
		valid("long file", clear(func(c *clearPart) { c.root = filled(0x44) }), long),
		valid("empty file", clear(func(*clearPart) {}), empty),
		valid("folder", clear(func(*clearPart) {}), Entry{Path: "a", Kind: shoal.KindFolder, Mode: 0o755, Time: 9}),
		valid("symlink", clear(func(*clearPart) {}), Entry{Path: "l", Kind: shoal.KindSymlink, Target: "../x", MTime: -1, Time: 9}),
		valid("tombstone that moved, joined", clear(func(*clearPart) {}), Entry{Path: "a", Kind: shoal.KindTombstone, MovedTo: "b"}),
		raw("last byte changed", spoiled, "does not open"),
		raw("trailing bytes", append(bytes.Clone(sound), 0x1a, 0), "malformed"),
		raw("length with leading zeros", append(append([]byte{0x0a, sound[1] | 0x80, sound[2] | 0x80, 0}, sound[3:]...), nil...), "malformed"),
		raw("no sealed part", wireBytes(nil, 1, clear(withOne).encode()), "malformed"),
		raw("unknown field in the clear part", newSealer(&testEpoch).seal(wireUint(clear(withOne).encode(), 99, 1), encodeEntry(&file, testOwn)), "not canonical"),
		raw("slot after seq", newSealer(&testEpoch).seal(clear(func(c *clearPart) { c.slot = 6 }).encode(), encodeEntry(&file, testOwn)), "malformed"),
		vector("blocks of another file", clear(func(c *clearPart) { c.refs = []block.EpochRef{{ID: block.ID(filled(0x32)), Epoch: c.epoch}} }), encodeEntry(&file, testOwn), "wrong blocks"),
		vector("path that leaves the folder", clear(withOne), encodeEntry(&badPath, testOwn), "malformed"),
		vector("no entry", clear(withOne), []byte{0xff}, "malformed"),
	}
}

func sealVector(name string, record []byte, failure string) recordVector {
	hash := recordHash(record)
	v := recordVector{
		Name: name, RecordKey: testEpoch.Record[:], NonceKey: testEpoch.Nonce[:], BlockIDKey: testKeys.BlockID[:],
		Record: record, Hash: hash[:], Error: failure,
	}
	if failure != "" {
		return v
	}
	c, e, data, err := openVector(&v)
	if err != nil {
		panic(err)
	}
	v.Clear, v.Entry, v.Path, v.Kind, v.Content, v.Seq, v.Slot = c.encode(), data, hexBytes(e.Path), e.Kind.String(), e.Content[:], uint64(c.seq), uint64(c.slot)
	return v
}

// headVector is one signed head.
type headVector struct {
	Name  string   `json:"name"`
	Head  hexBytes `json:"head"`
	Error string   `json:"error,omitempty"`

	Device string   `json:"device,omitempty"`
	Seq    uint64   `json:"seq,omitempty"`
	Hash   hexBytes `json:"hash,omitempty"`
}

func TestGoldenHeads(t *testing.T) {
	for _, v := range golden(t, "heads.json", func() []headVector { return makeHeadVectors(t) }) {
		t.Run(v.Name, func(t *testing.T) {
			h, err := DecodeHead(v.Head)
			if v.Error != "" {
				if !errors.Is(err, goldenErrors[v.Error]) || goldenErrors[v.Error] == nil {
					t.Errorf("got %v, want %q", err, v.Error)
				}
				return
			}
			must(t, err)
			if hash := h.Hash(); !bytes.Equal(hash[:], v.Hash) || h.Journal.Device.String() != v.Device || uint64(h.Seq) != v.Seq {
				t.Errorf("means %+v, hash %x", h, hash)
			}
		})
	}
}

// makeHeadVectors made testdata/heads.json.
func makeHeadVectors(t *testing.T) []headVector {
	id := testIdentity(t)
	list := []BucketDigest{{0, bucketDigest(bytes.Repeat([]byte{1}, 64))}, {3, bucketDigest(bytes.Repeat([]byte{2}, 32))}}
	h := Head{
		Mesh: filled(7), Folder: shoal.FolderID{8}, Journal: shoal.JournalID{Device: id.Device(), Nonce: 5}, Seq: 3075, Count: 3,
		Buckets: bucketListHash(list), Time: 1_700_000_000_000_000_000,
	}
	vector := func(name, failure string, change func(*Head)) headVector {
		h := h
		change(&h)
		v := headVector{Name: name, Head: h.sign(id), Error: failure}
		if failure == "" {
			hash := h.Hash()
			v.Device, v.Seq, v.Hash = id.Device().String(), uint64(h.Seq), hash[:]
		}
		return v
	}
	spoiled := h.sign(id)
	spoiled[len(spoiled)-1] ^= 1
	other := shoal.JournalID{Device: shoal.DeviceID(filled(0x20)), Nonce: 7}
	return []headVector{
		vector("first journal", "", func(*Head) {}),
		vector("continues another and knows others", "", func(h *Head) {
			h.Continues = shoal.Dot{Journal: shoal.JournalID{Device: id.Device(), Nonce: 4}, Seq: 9}
			h.Others = []HeadRef{{Journal: other, Seq: 3, Hash: filled(0x21)}}
		}),
		vector("another life, with the hash of the first", "", func(h *Head) { h.Life = 1 << 40 }),
		vector("abandons lives of what it continues", "", func(h *Head) {
			h.Continues = shoal.Dot{Journal: shoal.JournalID{Device: id.Device(), Nonce: 4}, Seq: 9}
			h.Abandons = []uint64{1 << 40, 2}
		}),
		vector("abandons lives of nothing", "malformed", func(h *Head) { h.Abandons = []uint64{2} }),
		vector("abandons too many lives", "malformed", func(h *Head) {
			h.Continues = shoal.Dot{Journal: shoal.JournalID{Device: id.Device(), Nonce: 4}, Seq: 9}
			h.Abandons = make([]uint64, MaxLives+1)
		}),
		{Name: "signature changed", Head: spoiled, Error: "forged"},
		{Name: "trailing byte", Head: append(h.sign(id), 0), Error: "malformed"},
		vector("signed by another device", "forged", func(h *Head) { h.Journal.Device = filled(0x20) }),
		vector("no seq", "malformed", func(h *Head) { h.Seq = 0 }),
		vector("more records than seqs", "malformed", func(h *Head) { h.Count = 4000 }),
		vector("continues another device's", "malformed", func(h *Head) { h.Continues = shoal.Dot{Journal: other, Seq: 1} }),
		vector("continues itself", "malformed", func(h *Head) { h.Continues = shoal.Dot{Journal: h.Journal, Seq: 1} }),
		vector("others out of order", "malformed", func(h *Head) { h.Others = []HeadRef{{Journal: other, Seq: 1}, {Journal: other, Seq: 2}} }),
	}
}
