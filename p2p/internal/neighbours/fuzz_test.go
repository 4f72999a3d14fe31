package neighbours

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadNote: what any process of this machine may write is a signed record or an error.
func FuzzReadNote(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 5000))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "note"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := readNote(dir, "note"); err == nil && r.Device.Validate() != nil {
			t.Fatalf("%x is accepted: %+v", raw, r)
		}
	})
}
