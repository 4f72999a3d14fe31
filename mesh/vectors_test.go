package mesh

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
)

// The golden vectors are frozen: they are added to, never edited. -write-vectors writes files that do not exist.
var writeVectors = flag.Bool("write-vectors", false, "write files of golden vectors that do not exist yet")

const (
	validVectors   = "testdata/valid.json"
	invalidVectors = "testdata/invalid.json"
)

// hexBytes are bytes that stand in JSON as hex digits.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vectors are a whole roster, the secrets of its devices, and what follows from them.
type vectors struct {
	Phrase     string
	Root       string
	RootHPKE   hexBytes
	Identities []identityVector
	Statements []statementVector // in an order that suits adding
	State      []string          // as describe tells it, with the names that the first identity opens
	Keys       []keysVector
}

type identityVector struct {
	Name, Device string
	Secret, HPKE hexBytes
}

type statementVector struct {
	Name string
	Hash string
	Hex  hexBytes
}

type keysVector struct {
	Identity, Folder string
	Current          string
	Chunker, BlockID hexBytes
	Epochs           []epochVector
}

type epochVector struct {
	ID                              string
	Number                          uint64
	Seal, Record, Nonce, Rendezvous hexBytes
}

// invalidVector is a statement that a roster which holds the valid ones refuses, with the name of the error.
type invalidVector struct {
	Name, Error string
	Hex         hexBytes
}

var namedErrors = map[string]error{
	"forged": ErrForged, "malformed": ErrMalformed, "other mesh": ErrOtherMesh, "refused": ErrRefused,
}

func TestGoldenRosterIsReadAsEver(t *testing.T) {
	v := readVectors(t)
	root, err := RootFromPhrase(v.Phrase)
	if err != nil || root.Device().String() != v.Root || string(root.HPKEPublic()) != string(v.RootHPKE) {
		t.Errorf("root: %v", err)
	}
	ids := v.identities(t)
	for i, want := range v.Identities {
		if ids[i].Device().String() != want.Device || string(ids[i].HPKEPublic()) != string(want.HPKE) {
			t.Errorf("identity %s differs", want.Name)
		}
	}
	r := v.roster(t)
	for i, raw := range r.Statements() {
		if s, _ := decodeStatement(raw); s.hash.String() != v.Statements[i].Hash {
			t.Errorf("%s: hash %s", v.Statements[i].Name, s.hash)
		}
	}
	r.OpenNames(ids[0])
	if got := describe(r.State()); got != strings.Join(v.State, "\n") {
		t.Errorf("state:\n%s", got)
	}
	for _, want := range v.Keys {
		checkKeysVector(t, r, ids, want)
	}
}

func checkKeysVector(t *testing.T, r *Roster, ids []*Identity, want keysVector) {
	t.Helper()
	var f shoal.FolderID // zero for the mesh's own keys, which is no folder's ID
	if _, err := hex.Decode(f[:], []byte(want.Folder)); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if id.Device().String() != want.Identity {
			continue
		}
		k, err := r.FolderKeys(id, f)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := json.Marshal(describeKeys(id, f, k, want.Epochs))
		if frozen, _ := json.Marshal(want); string(got) != string(frozen) || len(k.epochs) != len(want.Epochs) {
			t.Errorf("keys of %s for %s: %s", want.Folder, want.Identity, got)
		}
	}
}

// describeKeys describes keys in the order of the epochs that order has.
func describeKeys(id *Identity, f shoal.FolderID, k *FolderKeys, order []epochVector) keysVector {
	v := keysVector{Identity: id.Device().String(), Folder: f.String(), Chunker: k.Chunker[:], BlockID: k.BlockID[:]}
	if e, ok := k.Current(); ok {
		v.Current = e.ID.String()
	}
	for _, o := range order {
		for _, e := range k.epochs {
			if e.ID.String() == o.ID {
				v.Epochs = append(v.Epochs, epochVector{
					ID: o.ID, Number: e.Number, Seal: e.Seal[:], Record: e.Record[:], Nonce: e.Nonce[:], Rendezvous: e.Rendezvous[:],
				})
			}
		}
	}
	return v
}

func TestGoldenInvalidStatementsAreRefusedForTheirReason(t *testing.T) {
	r := readVectors(t).roster(t)
	before := describe(r.State())
	for _, v := range readInvalid(t) {
		want := namedErrors[v.Error]
		if added, err := r.Add(v.Hex); added || want == nil || !errors.Is(err, want) {
			t.Errorf("%s: added %v, %v; want %s", v.Name, added, err, v.Error)
		}
	}
	if describe(r.State()) != before {
		t.Error("the state changed")
	}
}

func readVectors(tb testing.TB) *vectors {
	tb.Helper()
	var v vectors
	readJSON(tb, validVectors, &v, func() any { return makeVectors(tb) })
	return &v
}

func readInvalid(tb testing.TB) []invalidVector {
	tb.Helper()
	var v []invalidVector
	readJSON(tb, invalidVectors, &v, func() any { return makeInvalid(tb, readVectors(tb)) })
	return v
}

func readJSON(tb testing.TB, path string, into any, makeIt func() any) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && *writeVectors {
		if text, err = json.MarshalIndent(makeIt(), "", " "); err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, append(text, '\n'), 0o644))
		}
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func (v *vectors) identities(tb testing.TB) []*Identity {
	tb.Helper()
	var out []*Identity
	for _, i := range v.Identities {
		id, err := identityFromSecret([32]byte(i.Secret))
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, id)
	}
	return out
}

func (v *vectors) signers(tb testing.TB) []Signer {
	tb.Helper()
	var out []Signer
	for _, id := range v.identities(tb) {
		out = append(out, id)
	}
	root, err := RootFromPhrase(v.Phrase)
	if err != nil {
		tb.Fatal(err)
	}
	return append(out, root)
}

func (v *vectors) roster(tb testing.TB) *Roster {
	tb.Helper()
	r := NewRoster()
	for _, s := range v.Statements {
		if added, err := r.Add(append([]byte(nil), s.Hex...)); !added || err != nil {
			tb.Fatalf("%s: added %v, %v", s.Name, added, err)
		}
	}
	return r
}
