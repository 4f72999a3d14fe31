//go:build linux

package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
)

// The text of TextFile: words by Zipf's law, drawn from a table in which each stands as often as it is likely.
const (
	textWords = 30_000  // different words
	textTable = 1 << 16 // places in the table
	textLine  = 72      // from here on a line ends with its word, in bytes
)

// TextFile writes a file of size bytes that compresses about as prose does, to a third. It is the same for the same seed, and nothing in it comes twice
// but words, so that nobody gains by finding the same content twice.
func TextFile(name string, size int64, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	err = writeText(w, size, seed)
	return errors.Join(err, w.Flush(), f.Close())
}

func writeText(w *bufio.Writer, size int64, seed uint64) error {
	words, source := wordTable(), Random(seed)
	var draws [2 * 2048]byte
	line := 0
	for {
		if _, err := io.ReadFull(source, draws[:]); err != nil {
			return err
		}
		for i := 0; i < len(draws); i += 2 {
			word := words[binary.LittleEndian.Uint16(draws[i:])]
			if int64(len(word)) > size {
				word = word[:size]
			}
			if line += len(word); line > textLine && len(word) > 0 {
				word, line = word[:len(word)-1]+"\n", 0
			}
			if _, err := w.WriteString(word); err != nil {
				return err
			}
			if size -= int64(len(word)); size == 0 {
				return nil
			}
		}
	}
}

// wordTable is the same in each run: words of one to five syllables, the short ones more likely, each with the space behind it.
func wordTable() *[textTable]string {
	r := rand.New(rand.NewPCG(1, 2))
	syllable := func() string {
		return string([]byte{"bcdfghlmnprstvwz"[r.IntN(16)], "aaeeeiioou"[r.IntN(10)], "bdlmnrst"[r.IntN(8)]}[:2+r.IntN(2)])
	}
	var table [textTable]string
	harmonic := 0.0
	for rank := 1; rank <= textWords; rank++ {
		harmonic += 1 / float64(rank)
	}
	place, share := 0, 0.0
	for rank := 1; rank <= textWords && place < textTable; rank++ {
		word := syllable()
		for range r.IntN(1 + int(math.Log10(float64(rank)))) {
			word += syllable()
		}
		if place > 0 && r.IntN(2) == 0 { // a phrase
			for range 1 + r.IntN(4) {
				word = table[r.IntN(place)] + word
			}
		}
		share += textTable / float64(rank) / harmonic
		for ; place < int(math.Ceil(share)) && place < textTable; place++ {
			table[place] = word + " "
		}
	}
	for ; place < textTable; place++ {
		table[place] = table[0]
	}
	return &table
}
