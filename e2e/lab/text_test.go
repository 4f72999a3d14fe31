//go:build linux

package lab

import (
	"bytes"
	"compress/flate"
	"os"
	"path/filepath"
	"testing"
)

func TestTextCompressesLikeProseAndIsTheSameForASeed(t *testing.T) {
	const size = 3<<20 + 1
	text := func(seed uint64) []byte {
		name := filepath.Join(t.TempDir(), "text")
		if err := TextFile(name, size, seed); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one := text(1)
	if len(one) != size || !bytes.Equal(one, text(1)) {
		t.Errorf("%d bytes, want %d, and the same again", len(one), size)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(one); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if ratio := float64(size) / float64(packed.Len()); ratio < 2.5 || ratio > 5 {
		t.Errorf("it compresses %.1f times", ratio)
	}
	// Nothing long comes twice, neither in one text nor in two.
	const long = 512
	seen := map[string]bool{}
	for at := 0; at+long <= size; at += long {
		seen[string(one[at:at+long])] = true
	}
	if len(seen) != size/long {
		t.Errorf("%d pieces are there twice", size/long-len(seen))
	}
	for other, at := text(2), 0; at+long <= size; at++ {
		if seen[string(other[at:at+long])] {
			t.Fatalf("at %d the text of another seed has %d bytes of the first", at, long)
		}
	}
}
