package rosterfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsCutOffIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roster")
	tail := append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 7}, framed([]byte("a whole one behind the damage"))...)
	if err := os.WriteFile(path, tail, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	kept, err := os.ReadFile(s.Cut())
	if err != nil || string(kept) != string(tail) {
		t.Errorf("kept %q, %v", kept, err)
	}
}
