package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
)

func fullState() *state {
	s := newState(ledger.Position{Number: 7, Chain: ledger.Hash{1}})
	s.made, s.clean, s.settings = time.Unix(1_800_000_000, 0).UTC(), time.Unix(1_800_000_100, 5).UTC(), []byte("settings")
	s.heads = []mesh.Hash{{2}, {3}}
	s.tell(shoal.FolderID{4}, shoal.JournalID{Device: shoal.DeviceID{5}, Nonce: 6}, 7)
	s.whole[shoal.FolderID{4}] = true
	return s
}

func TestAStateIsReadAsItWasWritten(t *testing.T) {
	want := fullState()
	raw, err := want.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	c := want.clone()
	c.tell(shoal.FolderID{4}, shoal.JournalID{Device: shoal.DeviceID{5}, Nonce: 6}, 9)
	c.whole[shoal.FolderID{9}] = true
	if !reflect.DeepEqual(got, want) {
		t.Error("a change of a clone changes what it was made from")
	}
}

func FuzzDecodeState(f *testing.F) {
	raw, err := fullState().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"chain":"00"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeState(raw)
		if err != nil {
			return
		}
		again, err := s.encode()
		if err != nil {
			return // a time that JSON does not know
		}
		if _, err := decodeState(again); err != nil {
			t.Fatalf("what was read once is refused: %v", err)
		}
	})
}

// FuzzLoadStatements: the beginning of a checkpoint, whatever its bytes, ends and takes no more memory than it has bytes, about.
func FuzzLoadStatements(f *testing.F) {
	good := binary.BigEndian.AppendUint32(nil, 2)
	for _, s := range []string{"one", ""} {
		good = append(binary.BigEndian.AppendUint32(good, uint32(len(s))), s...)
	}
	f.Add(good)
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var out []byte
		n := 0
		err := loadStatements(bytes.NewReader(raw), func(list [][]byte) error {
			for _, s := range list {
				out = append(binary.BigEndian.AppendUint32(out, uint32(len(s))), s...)
				n++
			}
			return nil
		})
		if err != nil {
			return
		}
		if whole := append(binary.BigEndian.AppendUint32(nil, uint32(n)), out...); !bytes.HasPrefix(raw, whole) {
			t.Fatal("the statements are others")
		}
	})
}

func TestACheckpointThatIsCutLeavesNoDatabase(t *testing.T) {
	path := t.TempDir() + "/db"
	err := load(bytes.NewReader([]byte{0, 0, 0, 1, 0, 0, 0, 9, 1}), path, func([][]byte) error { return nil })
	if err == nil {
		t.Error("a stream that ends in a statement was read")
	}
	err = load(errorAfter{bytes.NewReader([]byte{0, 0, 0, 0, 'd', 'b'})}, path, func([][]byte) error { return nil })
	if !errors.Is(err, errCut) {
		t.Errorf("%v", err)
	}
	if _, err := decodeState([]byte("{")); err == nil {
		t.Error("a note that is none was read")
	}
}

var errCut = errors.New("cut")

// errorAfter reads what it has, then fails.
type errorAfter struct{ r *bytes.Reader }

func (e errorAfter) Read(p []byte) (int, error) {
	if e.r.Len() == 0 {
		return 0, errCut
	}
	return e.r.Read(p)
}
