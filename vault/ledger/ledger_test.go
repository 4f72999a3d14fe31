package ledger

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
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
	Kind  string          `json:"kind"` // entry, anchor, transfer
	Bytes hexBytes        `json:"bytes"`
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"` // malformed
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func journal(n byte) shoal.JournalID { return shoal.JournalID{Device: shoal.DeviceID{n, 1}, Nonce: 7} }

func fullEntry() *Entry {
	return &Entry{
		Mesh: shoal.MeshID{1}, Number: 7, Before: Hash{2}, Nonce: [16]byte{3}, Made: 1_800_000_000, By: shoal.DeviceID{4},
		Settings:   []byte(`{"policy":{}}`),
		Statements: [][]byte{{1, 2}, {3}},
		Batches: []Batch{
			{Folder: shoal.FolderID{5}, Journal: journal(6), From: 3, To: 9, Head: []byte("head"), Records: [][]byte{[]byte("one"), []byte("two")}},
			{Folder: shoal.FolderID{5}, Journal: journal(7), From: 3, To: 3, Head: []byte("only signed later")},
		},
		Transfers: []Transfer{
			{Folder: shoal.FolderID{5}, Journal: journal(8), From: 0, To: 1 << 40, Head: []byte("head"), Parts: []PartRef{{Name: Name{9}, Size: 10, Hash: Hash{11}}}},
		},
		Nodes: []Node{{Folder: shoal.FolderID{5}, Data: []byte("node")}},
		Lost:  []Lost{{Folder: shoal.FolderID{5}, Block: block.EpochRef{ID: block.ID{12}, Epoch: shoal.EpochID{13}}}},
		Whole: []shoal.FolderID{{5}},
	}
}

func smallEntry() *Entry {
	return &Entry{Mesh: shoal.MeshID{1}, Number: 1, Before: Genesis(shoal.MeshID{1}), Whole: []shoal.FolderID{{5}}}
}

func fullAnchor() *Anchor {
	return &Anchor{Mesh: shoal.MeshID{1}, Nonce: [16]byte{2}, Number: 9, Chain: Hash{3}, Parts: []PartRef{{Name: Name{4}, Size: 10, Hash: Hash{5}}}}
}

func newAnchor() *Anchor {
	return &Anchor{Mesh: shoal.MeshID{1}, Nonce: [16]byte{2}, Chain: Genesis(shoal.MeshID{1})}
}

// transferValue is what the stream of a transfer comes to.
type transferValue struct {
	Digests []index.BucketDigest
	Buckets []Bucket
}

func fullTransfer() transferValue {
	return transferValue{
		Digests: []index.BucketDigest{{N: 0, Digest: [32]byte{1}}, {N: 5, Digest: [32]byte{2}}},
		Buckets: []Bucket{{N: 0, Records: [][]byte{[]byte("a"), []byte("bc")}}, {N: 5, Records: [][]byte{[]byte("d")}}},
	}
}

func (v transferValue) encode(t testing.TB) []byte {
	var b bytes.Buffer
	must(t, WriteDigests(&b, v.Digests))
	for _, bucket := range v.Buckets {
		must(t, WriteBucket(&b, bucket))
	}
	return b.Bytes()
}

func decodeTransfer(raw []byte) (v transferValue, err error) {
	r, err := ReadTransfer(bytes.NewReader(raw))
	if err != nil {
		return v, err
	}
	v.Digests = r.Digests
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return v, err
		}
		v.Buckets = append(v.Buckets, b)
	}
}

// resum gives an object that was changed a hash that fits.
func resum(b []byte) []byte {
	body := b[:len(b)-sumSize]
	sum := blake3.Sum256(body)
	return append(bytes.Clone(body), sum[:]...)
}

func flip(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }

func with[T any](v *T, change func(*T)) *T { change(v); return v }

func buildVectors(t *testing.T) (out []vector) {
	good := func(name, kind string, b []byte, v any) {
		raw, err := json.Marshal(v)
		must(t, err)
		out = append(out, vector{Name: name, Kind: kind, Bytes: b, Value: raw})
	}
	bad := func(name, kind string, b []byte) {
		out = append(out, vector{Name: name, Kind: kind, Bytes: b, Error: "malformed"})
	}
	entry, anchor, transfer := fullEntry().Encode(), fullAnchor().Encode(), fullTransfer().encode(t)
	good("an entry with one of everything", "entry", entry, fullEntry())
	good("an entry with next to nothing", "entry", smallEntry().Encode(), smallEntry())
	good("an anchor", "anchor", anchor, fullAnchor())
	good("an anchor without a checkpoint", "anchor", newAnchor().Encode(), newAnchor())
	good("a transfer", "transfer", transfer, fullTransfer())
	bad("nothing", "entry", nil)
	bad("an anchor is no entry", "entry", anchor)
	bad("a changed bit", "entry", flip(entry, 60))
	bad("a format to come", "entry", resum(flip(entry, 11)))
	bad("a byte too many", "entry", resum(append(append(bytes.Clone(entry[:len(entry)-sumSize]), 0), make([]byte, sumSize)...)))
	bad("a byte too few", "entry", resum(append(bytes.Clone(entry[:len(entry)-sumSize-1]), make([]byte, sumSize)...)))
	bad("an entry that says nothing", "entry", with(smallEntry(), func(e *Entry) { e.Whole = nil }).Encode())
	bad("an entry without a number", "entry", with(smallEntry(), func(e *Entry) { e.Number = 0 }).Encode())
	bad("a batch that ends before it begins", "entry", with(fullEntry(), func(e *Entry) { e.Batches[0].From = 10 }).Encode())
	bad("a batch without a head", "entry", with(fullEntry(), func(e *Entry) { e.Batches[0].Head = nil }).Encode())
	bad("a record of no bytes", "entry", with(fullEntry(), func(e *Entry) { e.Batches[0].Records[1] = nil }).Encode())
	bad("a journal of no device", "entry", with(fullEntry(), func(e *Entry) { e.Batches[0].Journal = shoal.JournalID{} }).Encode())
	bad("a transfer without parts", "entry", with(fullEntry(), func(e *Entry) { e.Transfers[0].Parts = nil }).Encode())
	bad("a part of no bytes", "entry", with(fullEntry(), func(e *Entry) { e.Transfers[0].Parts[0].Size = 0 }).Encode())
	bad("a part that is too long", "anchor", with(fullAnchor(), func(a *Anchor) { a.Parts[0].Size = MaxPart + 1 }).Encode())
	bad("a checkpoint without parts", "anchor", with(fullAnchor(), func(a *Anchor) { a.Parts = nil }).Encode())
	bad("parts without a checkpoint", "anchor", with(fullAnchor(), func(a *Anchor) { a.Number = 0 }).Encode())
	bad("a transfer that is cut", "transfer", transfer[:len(transfer)-1])
	bad("more records than a bucket has", "transfer", append([]byte{0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1))
	bad("more buckets than there can be", "transfer", []byte{255, 255, 255, 255})
	return out
}

// decode returns what an object of that kind says, and its canonical bytes.
func decode(t testing.TB, kind string, b []byte) (v any, again []byte, err error) {
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
	tr, err := decodeTransfer(b)
	if err != nil {
		return nil, nil, err
	}
	return &tr, tr.encode(t), nil
}

func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "ledger.json")
	if _, err := os.Stat(path); *writeGolden && errors.Is(err, os.ErrNotExist) {
		raw, err := json.MarshalIndent(buildVectors(t), "", "\t")
		must(t, err)
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, append(raw, '\n'), 0o644))
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	var vectors []vector
	must(t, json.Unmarshal(raw, &vectors))
	if len(vectors) < len(buildVectors(t)) {
		t.Errorf("%d vectors, want %d", len(vectors), len(buildVectors(t)))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			got, again, err := decode(t, v.Kind, v.Bytes)
			if v.Error != "" {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("error %v, want %s", err, v.Error)
				}
				return
			}
			must(t, err)
			if !bytes.Equal(again, v.Bytes) {
				t.Error("it is not written as it was read")
			}
			want := reflect.New(reflect.TypeOf(got).Elem()).Interface()
			must(t, json.Unmarshal(v.Value, want))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// FuzzDecode: whatever the bytes, decoding ends, and what it accepts is written as it was read.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), fullEntry().Encode())
	f.Add(uint8(0), smallEntry().Encode())
	f.Add(uint8(1), fullAnchor().Encode())
	f.Add(uint8(2), fullTransfer().encode(f))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		if kind%3 < 2 && len(b) > sumSize {
			b = resum(b) // nobody guesses a hash
		}
		v, again, err := decode(t, []string{"entry", "anchor", "transfer"}[kind%3], b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if !bytes.Equal(again, b) {
			t.Fatal("it is not written as it was read")
		}
		if e, ok := v.(*Entry); ok {
			must(t, e.Validate())
		}
	})
}

// TestThePageNamesTheLimits compares the table of limits in docs/formats/vault-ledger.md with the code.
func TestThePageNamesTheLimits(t *testing.T) {
	limits := map[string]int{
		"MaxEntry": MaxEntry, "MaxList": MaxList, "MaxParts": MaxParts, "MaxPart": MaxPart, "MaxSettings": MaxSettings, "MaxStatement": MaxStatement,
		"MaxHead": MaxHead, "MaxRecord": MaxRecord, "MaxNode": MaxNode, "MaxDigests": MaxDigests,
	}
	text, err := os.ReadFile("../../docs/formats/vault-ledger.md")
	must(t, err)
	rows := regexp.MustCompile(`(?m)^\| (\w+) \| (\d+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != len(limits) {
		t.Errorf("the page has %d limits, want %d", len(rows), len(limits))
	}
	for _, row := range rows {
		if got, ok := limits[row[1]]; !ok || strconv.Itoa(got) != row[2] {
			t.Errorf("the page says %s is %s; it is %d", row[1], row[2], got)
		}
	}
	if MaxRecord < index.MaxRecordBytes || MaxHead < index.MaxHeadBytes || MaxNode < block.MaxRefNode {
		t.Error("something that a device may send has no place in the ledger")
	}
}
