package index

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index/internal/pb"
	"github.com/shoalmesh/shoal/mesh"
)

// Fixed keys and names of tests and golden vectors.
var (
	testKeys  = block.Keys{Chunker: filled(1), BlockID: filled(2)}
	testEpoch = mesh.Epoch{ID: filled(3), Number: 1, Record: filled(4), Nonce: filled(5)}
	testOwn   = shoal.JournalID{Device: shoal.DeviceID(filled(6)), Nonce: 0x0102030405060708}
)

func filled(b byte) [32]byte { return [32]byte(bytes.Repeat([]byte{b}, 32)) }

func dots() *rapid.Generator[shoal.Dot] {
	return rapid.Custom(func(t *rapid.T) shoal.Dot {
		j := testOwn
		if n := rapid.IntRange(0, 3).Draw(t, "journal"); n > 0 {
			j = shoal.JournalID{Device: shoal.DeviceID(filled(byte(10 + n))), Nonce: uint64(n)}
		}
		return shoal.Dot{Journal: j, Seq: shoal.Seq(rapid.IntRange(1, 99).Draw(t, "seq"))}
	})
}

func recipes(most int) *rapid.Generator[block.Recipe] {
	return rapid.Custom(func(t *rapid.T) block.Recipe {
		var r block.Recipe
		for i := range rapid.IntRange(1, most).Draw(t, "blocks") {
			r = append(r, block.Ref{ID: block.ID(filled(byte(i%7 + 1))), Size: uint32(i + 1)})
		}
		return r
	})
}

// entries makes valid entries as decodeEntry returns them.
func entries() *rapid.Generator[*Entry] {
	return rapid.Custom(func(t *rapid.T) *Entry {
		e := &Entry{
			Path: shoal.Path(rapid.SampledFrom([]string{"a", "a/b.txt", "\xff\x01"}).Draw(t, "path")),
			Kind: rapid.SampledFrom([]shoal.Kind{shoal.KindTombstone, shoal.KindFile, shoal.KindFolder, shoal.KindSymlink}).Draw(t, "kind"),
			Time: rapid.Int64Range(0, 3).Draw(t, "time"),
		}
		e.Joined = e.Time == 0
		for _, d := range rapid.SliceOfN(dots(), 0, 3).Draw(t, "version") {
			if d.Journal != testOwn {
				e.Version = e.Version.With(d)
			}
		}
		if rapid.Bool().Draw(t, "sources") {
			e.ContentFrom, e.ModeFrom = dots().Draw(t, "content from"), dots().Draw(t, "mode from")
		}
		if rapid.Bool().Draw(t, "replaced") {
			e.Replaced = block.ContentID(filled(9))
		}
		drawKind(t, e)
		return e
	})
}

func drawKind(t *rapid.T, e *Entry) {
	switch e.Kind {
	case shoal.KindTombstone:
		e.MovedTo = shoal.Path(rapid.SampledFrom([]string{"", "b/c"}).Draw(t, "moved"))
		return
	case shoal.KindFolder:
		e.Mode = 0o755
	case shoal.KindSymlink:
		e.Target, e.MTime = "../x", rapid.Int64().Draw(t, "mtime")
		e.Content = symlinkContent(&testKeys, e.Target)
	case shoal.KindFile:
		e.Mode, e.MTime = uint32(rapid.IntRange(0, modeBits).Draw(t, "mode")), rapid.Int64().Draw(t, "mtime")
		drawRecipe(t, e)
	}
	e.Carried = rapid.Bool().Draw(t, "carried")
}

func drawRecipe(t *rapid.T, e *Entry) {
	blocks := 0
	switch rapid.IntRange(0, 2).Draw(t, "recipe") {
	case 1:
		e.Recipe = recipes(block.InlineRecipe).Draw(t, "recipe")
		blocks = len(e.Recipe)
	case 2:
		e.RecipeParts = recipes(3).Draw(t, "parts")
		e.Size, e.Content = 1<<40, block.ContentID(filled(8))
		blocks = len(e.RecipeParts) + 70
	}
	if e.RecipeParts == nil {
		e.Size, e.Content = e.Recipe.Size(), testKeys.ContentID(e.Recipe)
	}
	if blocks > 1 && rapid.Bool().Draw(t, "epochs") {
		e.Epochs = []EpochRun{{Count: 1}, {Epoch: filled(20), Count: uint32(blocks - 1)}}
	}
}

func TestEntrySurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entries().Draw(t, "entry")
		data := encodeEntry(e, testOwn)
		got, err := decodeEntry(data, shoal.Dot{Journal: testOwn, Seq: 100}, &testKeys)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("\n got %+v\nwant %+v", got, e)
		}
		sameAsGenerated(t, data, new(pb.Entry))
	})
}

// sameAsGenerated holds bytes that were encoded by hand against what the generated code makes of them.
func sameAsGenerated(t interface{ Fatalf(string, ...any) }, data []byte, m proto.Message) {
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatalf("generated code: %v", err)
	}
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Fatalf("unknown fields %x", m.ProtoReflect().GetUnknown())
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("generated code encodes\n%x, not\n%x (%v)", again, data, err)
	}
}

func clears() *rapid.Generator[*clearPart] {
	return rapid.Custom(func(t *rapid.T) *clearPart {
		c := &clearPart{mesh: filled(7), folder: shoal.FolderID{1, 2}, epoch: testEpoch.ID, journal: testOwn}
		c.seq = shoal.Seq(rapid.Uint64Range(1, maxSeq).Draw(t, "seq"))
		c.slot = shoal.Slot(rapid.Uint64Range(1, uint64(c.seq)).Draw(t, "slot"))
		c.more = rapid.Bool().Draw(t, "more")
		if rapid.Bool().Draw(t, "long") {
			c.root = filled(11)
		} else {
			for i := range rapid.IntRange(0, block.InlineRecipe).Draw(t, "blocks") {
				epoch := rapid.SampledFrom([]shoal.EpochID{testEpoch.ID, filled(20), filled(21)}).Draw(t, "epoch")
				c.refs = append(c.refs, block.EpochRef{ID: block.ID(filled(byte(i + 1))), Epoch: epoch})
			}
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "replaces") {
			c.replaces = append(c.replaces, shoal.Dot{Journal: shoal.JournalID{Device: filled(30), Nonce: uint64(i)}, Seq: 5})
		}
		return c
	})
}

func TestClearPartSurvivesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clears().Draw(t, "clear")
		data := c.encode()
		got, canonical, err := decodeClear(data)
		if err != nil || !canonical || !reflect.DeepEqual(got, c) {
			t.Fatalf("canonical %v, %v\n got %+v\nwant %+v", canonical, err, got, c)
		}
		sameAsGenerated(t, data, new(pb.Clear))
	})
}

func TestRecordOpensOnlyAsItWasSealed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, entry := clears().Draw(t, "clear").encode(), rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "entry")
		record := newSealer(&testEpoch).seal(c, entry)
		if again := newSealer(&testEpoch).seal(c, entry); !bytes.Equal(record, again) {
			t.Fatal("sealed twice, it differs")
		}
		clear, sealed, err := splitRecord(record)
		if err != nil || !bytes.Equal(clear, c) {
			t.Fatalf("clear part %x: %v", clear, err)
		}
		got, err := newSealer(&testEpoch).openPart(recordAD(clear), sealed)
		if err != nil || !bytes.Equal(got, entry) {
			t.Fatalf("entry %x: %v", got, err)
		}
		spoiled := bytes.Clone(record)
		spoiled[rapid.IntRange(0, len(record)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if clear, sealed, err = splitRecord(spoiled); err != nil {
			return
		}
		if _, err := newSealer(&testEpoch).openPart(recordAD(clear), sealed); err == nil {
			t.Fatal("a spoiled record opens")
		}
	})
}

func TestPaddingHidesTheLength(t *testing.T) {
	sizes := map[int]bool{}
	for n := range 1000 {
		padded := padEntry(make([]byte, n))
		if len(padded) < n+1 || len(padded) > max(minPadded, (n+1)*112/100+16) {
			t.Errorf("%d bytes padded to %d", n, len(padded))
		}
		sizes[len(padded)] = true
		got, ok := unpadEntry(padded)
		if !ok || len(got) != n {
			t.Errorf("%d bytes come back as %d", n, len(got))
		}
		if _, ok := unpadEntry(append(padded, 0)); ok && n > 200 {
			t.Errorf("%d bytes with one more zero are accepted", n)
		}
	}
	if len(sizes) > 60 {
		t.Errorf("%d sizes", len(sizes))
	}
}

func heads() *rapid.Generator[Head] {
	return rapid.Custom(func(t *rapid.T) Head {
		h := Head{Mesh: filled(7), Folder: shoal.FolderID{1}, Journal: shoal.JournalID{Nonce: 4}, Buckets: filled(12)}
		h.Seq = shoal.Seq(rapid.Uint64Range(1, maxSeq).Draw(t, "seq"))
		h.Count = rapid.Uint64Range(1, uint64(h.Seq)).Draw(t, "count")
		h.Time = rapid.Int64().Draw(t, "time")
		for i := range rapid.IntRange(0, 3).Draw(t, "others") {
			h.Others = append(h.Others, HeadRef{Journal: shoal.JournalID{Device: filled(30), Nonce: uint64(i)}, Seq: 5, Hash: filled(13)})
		}
		return h
	})
}

func testIdentity(t interface{ Fatal(...any) }) *mesh.Identity {
	id, err := mesh.NewIdentity(bytes.NewReader(bytes.Repeat([]byte{9}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestHeadSurvivesSigning(t *testing.T) {
	id := testIdentity(t)
	rapid.Check(t, func(t *rapid.T) {
		h := heads().Draw(t, "head")
		h.Journal.Device = id.Device()
		if rapid.Bool().Draw(t, "continues") {
			h.Continues = shoal.Dot{Journal: shoal.JournalID{Device: id.Device(), Nonce: 3}, Seq: shoal.Seq(rapid.IntRange(0, 3).Draw(t, "up to"))}
		}
		raw := h.sign(id)
		got, err := DecodeHead(raw)
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, h)
		}
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1
		if _, err := DecodeHead(raw); !errors.Is(err, ErrForged) && !errors.Is(err, ErrMalformed) {
			t.Fatalf("spoiled: %v", err)
		}
	})
}

func TestHeadHashSaysWhatIsSaidOfTheJournalOnly(t *testing.T) {
	h := Head{Journal: testOwn, Seq: 5, Count: 3}
	same, other := h, h
	same.Time, same.Others = 99, []HeadRef{{Seq: 1}}
	other.Buckets[0] = 1
	if h.Hash() != same.Hash() || h.Hash() == other.Hash() {
		t.Error("wrong fields in the hash")
	}
	continued := h
	continued.Continues = shoal.Dot{Journal: testOwn}
	if h.Hash() == continued.Hash() {
		t.Error("lineage is not in the hash")
	}
}

func TestInvalidEntriesAreRefused(t *testing.T) {
	file := func(change func(*Entry)) Entry {
		r := block.Recipe{{ID: block.ID(filled(1)), Size: 5}}
		e := Entry{Path: "x", Kind: shoal.KindFile, Mode: 0o644, Recipe: r, Size: 5, Content: testKeys.ContentID(r), Time: 1}
		change(&e)
		return e
	}
	for name, e := range map[string]Entry{
		"NoPath":              file(func(e *Entry) { e.Path = "" }),
		"PathOutside":         file(func(e *Entry) { e.Path = "../x" }),
		"ReservedPath":        file(func(e *Entry) { e.Path = ".shoal/x" }),
		"NoKind":              file(func(e *Entry) { e.Kind = 0 }),
		"ModeBits":            file(func(e *Entry) { e.Mode = 0o10000 }),
		"NegativeTime":        file(func(e *Entry) { e.Time = -1 }),
		"JoinedWithATime":     file(func(e *Entry) { e.Joined = true }),
		"OtherSize":           file(func(e *Entry) { e.Size = 6 }),
		"TargetOfAFile":       file(func(e *Entry) { e.Target = "x" }),
		"PlaceWhereAFileWent": file(func(e *Entry) { e.MovedTo = "y" }),
		"PartsOfAShortRecipe": file(func(e *Entry) { e.RecipeParts = e.Recipe }),
		"TooFewEpochs":        file(func(e *Entry) { e.Epochs = []EpochRun{{Count: 2}} }),
		"EmptyEpochRun":       file(func(e *Entry) { e.Epochs = []EpochRun{{Count: 1}, {Count: 0}} }),
		"UnsortedVersion":     file(func(e *Entry) { e.Version = conflict.Version{{Journal: testOwn, Seq: 1}, {Journal: testOwn, Seq: 2}} }),
		"SourceWithoutSeq":    file(func(e *Entry) { e.ContentFrom.Journal = testOwn }),
		"FolderWithATime":     {Path: "x", Kind: shoal.KindFolder, MTime: 1, Time: 1},
		"FolderWithBlocks":    file(func(e *Entry) { e.Kind = shoal.KindFolder }),
		"LinkToNowhere":       {Path: "x", Kind: shoal.KindSymlink, Time: 1},
		"LinkTooLong":         {Path: "x", Kind: shoal.KindSymlink, Target: string(make([]byte, MaxTargetBytes+1)), Time: 1},
		"LinkWithAMode":       {Path: "x", Kind: shoal.KindSymlink, Target: "y", Mode: 1, Time: 1},
		"TombstoneWithAMode":  {Path: "x", Kind: shoal.KindTombstone, Mode: 1, Time: 1},
		"WentOutside":         {Path: "x", Kind: shoal.KindTombstone, MovedTo: "/y", Time: 1},
	} {
		if err := e.Validate(); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	sound := file(func(*Entry) {})
	if err := sound.Validate(); err != nil {
		t.Errorf("a sound file: %v", err)
	}
}
