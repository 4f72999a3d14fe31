package block

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
)

// TestWhatPaddingLeavesVisible measures on the Go source tree what docs/threat-model.md says: somebody who keeps the sealed blocks, and knows the tree, knows
// a file by its size if no other file has the same number of blocks with the same sealed sizes. Files of one size are told apart by nothing.
func TestWhatPaddingLeavesVisible(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the Go source tree")
	}
	if raceEnabled {
		t.Skip("the run without the race detector reads the Go source tree")
	}
	goroot, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("there is no go command: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src")
	if _, err := os.Stat(filepath.Join(root, "fmt")); err != nil {
		t.Skipf("there is no Go source tree at %s", root)
	}
	plain, padded, packed := crowd{}, crowd{}, crowd{}
	var key [32]byte
	_, _ = rand.Read(key[:])
	chunker, buf := NewChunker(nil, key), make([]byte, MaxSize)
	var plainBytes, sealedBytes int64
	err = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil || len(data) == 0 {
			return err
		}
		off, auto, n, err := visible(chunker, buf, data)
		plain[fmt.Sprint(len(data))]++
		padded[off]++
		packed[auto]++
		plainBytes, sealedBytes = plainBytes+int64(len(data)), sealedBytes+n
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n := plain.all()
	t.Logf("%d files. Alone with their size: %d (%.1f %%) by their bytes; %d (%.1f %%) sealed without compression; %d (%.1f %%) sealed with it. Median of files of one size: %d, %d, %d. Sealed without compression: %.2f %% more bytes",
		n, plain.alone(), plain.share(), padded.alone(), padded.share(), packed.alone(), packed.share(), plain.median(), padded.median(), packed.median(),
		100*float64(sealedBytes-plainBytes)/float64(plainBytes))
	if plain.share() < 20 || padded.share() > 3 || packed.share() > 3 {
		t.Errorf("docs/threat-model.md says otherwise")
	}
}

// visible is what can be seen of a file's content, as text: the sealed sizes of its blocks, in any order; without and with compression. n is the number of sealed
// bytes without.
func visible(chunker *Chunker, buf, data []byte) (off, auto string, n int64, err error) {
	chunker.Reset(bytes.NewReader(data))
	var offs, autos []string
	for {
		size, err := chunker.Next(buf)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", "", 0, err
		}
		for _, c := range []Compression{Off, Auto} {
			sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, (&Keys{}).ID(buf[:size]), buf[:size], c, rand.Reader)
			if err != nil {
				return "", "", 0, err
			}
			if c == Off {
				offs, n = append(offs, fmt.Sprint(len(sealed))), n+int64(len(sealed))
			} else {
				autos = append(autos, fmt.Sprint(len(sealed)))
			}
		}
	}
	slices.Sort(offs)
	slices.Sort(autos)
	return strings.Join(offs, " "), strings.Join(autos, " "), n, nil
}

// crowd counts the files that look the same.
type crowd map[string]int

func (c crowd) all() (n int) {
	for _, of := range c {
		n += of
	}
	return n
}

func (c crowd) alone() (n int) {
	for _, of := range c {
		if of == 1 {
			n++
		}
	}
	return n
}

func (c crowd) share() float64 { return 100 * float64(c.alone()) / float64(c.all()) }

// median is how many files look like the file in the middle, it included.
func (c crowd) median() int {
	var of []int
	for _, n := range c {
		for range n {
			of = append(of, n)
		}
	}
	slices.Sort(of)
	return of[len(of)/2]
}
