package kv_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal/index/kv"
)

// FuzzDamagedFile: a database with a few bytes changed, or cut short, is used or is an error, never a panic.
func FuzzDamagedFile(f *testing.F) {
	var sound [2][]byte // after a clean close, and after a crash
	path := filepath.Join(f.TempDir(), "db")
	b := openBolt(f, path)
	for i := range byte(3) {
		if err := b.Update(func(tx kv.Tx) error {
			for k := range byte(100) {
				tx.Bucket("a").Put([]byte{i, k}, make([]byte, int(k)*int(i)))
			}
			return nil
		}); err != nil {
			f.Fatal(err)
		}
	}
	for i := range sound {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		sound[1-i] = data
		if i == 0 {
			if err := b.Close(); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Add(true, uint32(0), []byte(nil), uint32(0))
	f.Add(true, uint32(8192), []byte{3, 0, 0, 0, 0, 0, 0, 0, 1}, uint32(0))
	f.Add(false, uint32(4096+16), make([]byte, 64), uint32(1))
	f.Add(true, uint32(3*4096+8), []byte{0xff, 0xff, 0xff, 0xff}, uint32(0))
	f.Fuzz(func(t *testing.T, crashed bool, at uint32, patch []byte, cut uint32) {
		from := sound[0]
		if crashed {
			from = sound[1]
		}
		data := append([]byte(nil), from...)
		copy(data[int(at)%len(data):], patch)
		data = data[:len(data)-int(cut)%len(data)]
		name := filepath.Join(t.TempDir(), "db")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = useAll(name)
	})
}
