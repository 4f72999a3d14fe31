package beacon

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

var self = shoal.DeviceID{7}

func position(t *rapid.T) Position {
	id := func(label string) byte { return rapid.Byte().Draw(t, label) }
	return Position{
		Folder:  shoal.FolderID{id("folder")},
		Journal: shoal.JournalID{Device: rapid.SampledFrom([]shoal.DeviceID{self, {1}, {9}}).Draw(t, "device"), Nonce: rapid.Uint64().Draw(t, "nonce")},
		Seq:     shoal.Seq(rapid.Uint64().Draw(t, "seq")),
	}
}

func TestWhatIsReadIsWhatWasSaidOwnJournalsFirst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.SliceOfN(rapid.Custom(position), 0, 30).Draw(t, "said")
		raw := Encode(self, said, 1024)
		read, err := Decode(raw)
		if err != nil || len(raw) > 1024 || len(read) != min(len(said), 1024/PositionBytes) {
			t.Fatalf("%d of %d, %v", len(read), len(said), err)
		}
		others := false
		for _, p := range read {
			if !slices.Contains(said, p) || others && p.Journal.Device == self {
				t.Fatalf("%+v in %+v", p, read)
			}
			others = others || p.Journal.Device != self
		}
		slices.Reverse(said)
		if len(slices.Compact(slices.Clone(read))) == len(read) && !bytes.Equal(Encode(self, read, 1024), raw) {
			t.Fatal("the note depends on the order in which it was made")
		}
	})
}

func TestTheLayoutIsWhatThePageSays(t *testing.T) {
	t.Parallel()
	raw := Encode(self, []Position{{Folder: shoal.FolderID{0xaa}, Journal: shoal.JournalID{Device: shoal.DeviceID{0xbb}, Nonce: 0x0102}, Seq: 0x0304}}, 64)
	want := "aa000000000000000000000000000000" + "bb00000000000000000000000000000000000000000000000000000000000000" + "0000000000000102" + "0000000000000304"
	if hex.EncodeToString(raw) != want {
		t.Fatalf("%x", raw)
	}
	if _, err := Decode(raw[1:]); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(self, []Position{{Seq: 1}, {Journal: shoal.JournalID{Device: self}, Seq: 2}}, 1024))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, err := Decode(raw)
		if err == nil && len(read)*PositionBytes != len(raw) {
			t.Fatalf("%d positions in %d bytes", len(read), len(raw))
		}
	})
}
