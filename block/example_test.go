package block_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// A file becomes blocks, a recipe and a content ID; a sealed block becomes the same bytes again, or an error.
func Example() {
	keys := &block.Keys{Chunker: [32]byte{1}, BlockID: [32]byte{2}}
	sealKey, epoch := block.SealKey{3}, shoal.EpochID{4}
	file := bytes.Repeat([]byte("a line of a log\n"), 100_000)

	chunker := block.NewChunker(bytes.NewReader(file), keys.Chunker)
	buf := make([]byte, block.MaxSize)
	var recipe block.Recipe
	for {
		n, err := chunker.Next(buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		recipe = append(recipe, block.Ref{ID: keys.ID(buf[:n]), Size: uint32(n)})
	}
	fmt.Println("recipe gives the size back:", recipe.Size() == int64(len(file)))

	first := file[:recipe[0].Size]
	sealed, err := block.Seal(nil, sealKey, epoch, recipe[0].ID, first, block.Auto, rand.Reader)
	if err != nil {
		panic(err)
	}
	plain, err := block.Open(nil, sealKey, epoch, keys, recipe[0].ID, sealed)
	fmt.Println("opens:", err == nil && bytes.Equal(plain, first))

	sealed[100] ^= 1
	_, err = block.Open(nil, sealKey, epoch, keys, recipe[0].ID, sealed)
	fmt.Println("damaged:", err != nil)
	// Output:
	// recipe gives the size back: true
	// opens: true
	// damaged: true
}
