package packfile

import (
	"bytes"
	"testing"

	"github.com/shoalmesh/shoal/block"
)

// FuzzDecodeRecord: what is accepted is valid and encodes to the same bytes.
func FuzzDecodeRecord(f *testing.F) {
	salt := [32]byte{1, 2, 3}
	for _, r := range []Record{
		{Kind: KindBlock, Length: 14, Key: block.Key{ID: block.ID{1}, Sealed: [32]byte{2}}},
		{Kind: KindDeletion, Key: block.Key{ID: block.ID{1}}, Gone: Place{Pack: 3, Offset: FirstRecord}},
	} {
		head := r.Encode(&salt, FirstRecord)
		f.Add(head[:], uint32(FirstRecord))
	}
	f.Fuzz(func(t *testing.T, raw []byte, offset uint32) {
		if len(raw) < RecordHeadSize {
			return
		}
		// Nobody guesses a checksum, so it is made to fit: what the fields say is what is looked at.
		raw = bytes.Clone(raw[:RecordHeadSize])
		sum := recordSum(&salt, raw[:recordSumAt], offset)
		copy(raw[recordSumAt:], sum[:])
		r, err := DecodeRecord(raw, &salt, offset)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		if again := r.Encode(&salt, offset); !bytes.Equal(again[:], raw) {
			t.Fatal("encodes to something else")
		}
	})
}
