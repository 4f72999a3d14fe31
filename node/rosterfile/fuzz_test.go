package rosterfile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/mesh"
)

// FuzzOpen: a file either is refused, or opens, is cut after its last whole statement, and opens again to the same roster. What an honest file begins with is
// never lost by what follows it.
func FuzzOpen(f *testing.F) {
	chance := rand.NewChaCha8([32]byte{3})
	id, err := mesh.NewIdentity(chance)
	if err != nil {
		f.Fatal(err)
	}
	words, err := mesh.NewPhrase(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		f.Fatal(err)
	}
	r, err := mesh.Create(root, id, "a", chance, time.Unix(1_700_000_000, 0))
	if err != nil {
		f.Fatal(err)
	}
	var honest []byte
	for _, raw := range r.Statements() {
		honest = append(honest, framed(raw)...)
	}
	f.Add(false, []byte(nil), false)
	f.Add(true, []byte{0, 0, 0, 9}, false)
	f.Add(true, honest, false)
	f.Add(false, honest[:len(honest)-1], false)
	f.Add(true, []byte("no statement"), true)
	f.Fuzz(func(t *testing.T, before bool, data []byte, frame bool) {
		if frame {
			data = framed(data) // nobody guesses a checksum
		}
		if before {
			data = append(bytes.Clone(honest), data...)
		}
		path := filepath.Join(t.TempDir(), "roster")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, id, nil)
		if err != nil {
			return
		}
		n := count(s)
		if before && n < r.Count() {
			t.Fatalf("%d statements of %d are left", n, r.Count())
		}
		if _, err := s.Add(r.Statements()); err == nil && count(s) < r.Count() {
			t.Fatal("statements were taken in and are not there")
		}
		n = count(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(path, id, nil)
		if err != nil {
			t.Fatalf("what was opened once is refused: %v", err)
		}
		defer again.Close()
		if count(again) != n {
			t.Fatalf("%d statements, then %d", n, count(again))
		}
	})
}

func framed(raw []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(raw)))
	return append(binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(raw)), raw...)
}

func count(s *Store) (n int) {
	s.View(func(r *mesh.Roster) { n = r.Count() })
	return n
}
