package folder_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder"
)

func randomContent(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{9}).Read(content)
	return content
}

// One goroutine or two: the recipe is the same, and so is what goes wrong.
func TestABigFileIsHashedAsASmallOne(t *testing.T) {
	keys := &block.Keys{Chunker: [32]byte{1}, BlockID: [32]byte{2}}
	content := randomContent(9 << 20)
	hash := func(ctx context.Context, r io.Reader, workers int) (block.Recipe, error) {
		return folder.HashFile(ctx, keys, r, int64(len(content)), workers)
	}
	want, err := hash(t.Context(), bytes.NewReader(content), 1)
	if err != nil || len(want) < 10 {
		t.Fatalf("%d blocks: %v", len(want), err)
	}
	if got, err := hash(t.Context(), bytes.NewReader(content), 2); err != nil || !slices.Equal(got, want) {
		t.Errorf("two goroutines make %d blocks (%v), one %d", len(got), err, len(want))
	}
	broken := errors.New("broken")
	half := func() io.Reader { return io.MultiReader(bytes.NewReader(content[:5<<20]), iotest.ErrReader(broken)) }
	ended, end := context.WithCancel(t.Context())
	end()
	for workers := 1; workers <= 2; workers++ {
		if r, err := hash(t.Context(), half(), workers); !errors.Is(err, broken) || r != nil {
			t.Errorf("%d goroutines over a broken disk: %d blocks, %v", workers, len(r), err)
		}
		if r, err := hash(ended, bytes.NewReader(content), workers); !errors.Is(err, context.Canceled) || r != nil {
			t.Errorf("%d goroutines that nobody waits for: %d blocks, %v", workers, len(r), err)
		}
	}
}

func BenchmarkHashFile(b *testing.B) {
	keys := &block.Keys{Chunker: [32]byte{1}, BlockID: [32]byte{2}}
	content := randomContent(64 << 20)
	for workers, name := range []string{1: "one goroutine", 2: "two"} {
		if name == "" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := folder.HashFile(b.Context(), keys, bytes.NewReader(content), int64(len(content)), workers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
