package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

var testKey = [32]byte{'k', 'e', 'y'}

// cutAll returns the blocks of r.
func cutAll(t testing.TB, c *Chunker) [][]byte {
	t.Helper()
	buf := make([]byte, MaxSize)
	var blocks [][]byte
	for {
		n, err := c.Next(buf)
		if err == io.EOF {
			return blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, bytes.Clone(buf[:n]))
	}
}

func cut(t testing.TB, data []byte) [][]byte {
	t.Helper()
	return cutAll(t, NewChunker(bytes.NewReader(data), testKey))
}

func sizes(blocks [][]byte) []int {
	out := make([]int, len(blocks))
	for i, b := range blocks {
		out[i] = len(b)
	}
	return out
}

// checkCut holds what is true of the blocks of any file.
func checkCut(t testing.TB, data []byte, blocks [][]byte) {
	t.Helper()
	if !bytes.Equal(bytes.Join(blocks, nil), data) {
		t.Fatalf("%d blocks do not give the file of %d bytes", len(blocks), len(data))
	}
	for i, b := range blocks {
		if len(b) == 0 || len(b) > MaxSize || len(b) < MinSize && i < len(blocks)-1 {
			t.Fatalf("block %d of %d has %d bytes", i, len(blocks), len(b))
		}
	}
}

func TestEmptyFileHasNoBlocks(t *testing.T) {
	if n, err := NewChunker(bytes.NewReader(nil), testKey).Next(make([]byte, MaxSize)); n != 0 || err != io.EOF {
		t.Fatalf("got %d, %v", n, err)
	}
}

func TestFileUnderMinSizeIsOneBlock(t *testing.T) {
	for _, n := range []int{1, 64, MinSize - 1, MinSize} {
		if blocks := cut(t, pseudoText("small", n)); len(blocks) != 1 || len(blocks[0]) != n {
			t.Errorf("%d bytes became blocks of %v", n, sizes(blocks))
		}
	}
}

func TestRunsOfOneByteAreCutIntoEqualBlocks(t *testing.T) {
	for b := range 24 {
		data := bytes.Repeat([]byte{byte(b)}, MaxSize+MaxSize/2)
		blocks := cut(t, data)
		checkCut(t, data, blocks)
		for _, x := range blocks[:len(blocks)-1] {
			if len(x) != len(blocks[0]) {
				t.Fatalf("run of %#x: blocks of %v", b, sizes(blocks))
			}
		}
	}
}

func TestBlocksTogetherGiveTheFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := drawFile(rt)
		checkCut(t, data, cut(t, data))
	})
}

// drawFile draws random bytes, text, runs and mixtures of them, up to 3 MiB.
func drawFile(rt *rapid.T) []byte {
	var data []byte
	for range rapid.IntRange(1, 3).Draw(rt, "parts") {
		n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, MaxSize),
			rapid.SampledFrom([]int{MinSize - 1, MinSize, MinSize + 1, normalSize, MaxSize})).Draw(rt, "size")
		seed := rapid.StringN(1, 4, -1).Draw(rt, "seed")
		switch rapid.IntRange(0, 2).Draw(rt, "kind") {
		case 0:
			data = append(data, pseudoRandom(seed, n)...)
		case 1:
			data = append(data, pseudoText(seed, n)...)
		case 2:
			data = append(data, bytes.Repeat([]byte(seed), n/len(seed)+1)[:n]...)
		}
	}
	return data
}

func TestCutsDoNotDependOnHowTheFileIsRead(t *testing.T) {
	data := pseudoRandom("reads", 1<<20)
	want := sizes(cut(t, data))
	for name, r := range map[string]io.Reader{
		"half":     iotest.HalfReader(bytes.NewReader(data)),
		"data+EOF": iotest.DataErrReader(bytes.NewReader(data)),
		"7 bytes":  &shortReader{r: bytes.NewReader(data), max: 7},
		"4099":     &shortReader{r: bytes.NewReader(data), max: 4099},
	} {
		if got := sizes(cutAll(t, NewChunker(r, testKey))); !equalInts(got, want) {
			t.Errorf("%s: cut into %v, want %v", name, got, want)
		}
	}
}

// shortReader gives at most max bytes at once, and every other time none.
type shortReader struct {
	r     io.Reader
	max   int
	empty bool
}

func (s *shortReader) Read(p []byte) (int, error) {
	if s.empty = !s.empty; s.empty {
		return 0, nil
	}
	return s.r.Read(p[:min(len(p), s.max)])
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// modelCut is the simplest statement of profile 1, without steps, windows or speed, to compare the real one with.
//
//go:norace
func modelCut(data []byte, key [32]byte) int {
	s := scanner{gear: gearFor(&key)}
	if len(data) <= MinSize {
		return len(data)
	}
	for size := MinSize; size < min(len(data), MaxSize); size++ {
		var state uint64
		for _, b := range data[size-gearWindow : size] {
			state = state*2 + s.gear.table[b]
		}
		limit := uint64(generousLimit)
		if size <= normalSize {
			limit = strictLimit
		}
		if state>>(64-weakBits) == 0 && s.strong(state) <= limit {
			return size
		}
	}
	return min(len(data), MaxSize)
}

func TestChunkerCutsLikeTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := drawFile(rt)
		key := [32]byte{byte(rapid.IntRange(0, 3).Draw(rt, "key"))}
		buf := make([]byte, MaxSize)
		n, err := NewChunker(bytes.NewReader(data), key).Next(buf)
		if err == io.EOF && len(data) == 0 {
			return
		}
		if want := modelCut(data, key); n != want || err != nil {
			rt.Fatalf("first block has %d bytes (%v), want %d", n, err, want)
		}
	})
}

// A cut at the first possible position needs the whole window before it; a file that has one is searched for.
func TestFirstCutLooksAtTheWholeWindow(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine and many hashes: it runs without the race detector")
	}
	data := pseudoRandom("window", 2*MinSize)
	s := scanner{gear: gearFor(&testKey)}
	window := data[MinSize-gearWindow : MinSize]
	for n := uint32(0); ; n++ {
		binary.LittleEndian.PutUint32(window[gearWindow-4:], n)
		s.warm(window)
		if s.state < weakLimit && s.strong(s.state) <= strictLimit {
			break
		}
	}
	if got := len(cut(t, data)[0]); got != MinSize {
		t.Errorf("cut after %d bytes, want %d", got, MinSize)
	}
	// Of the first byte only the lowest bit of its table entry is left in the state, as the highest.
	table, old := &s.gear.table, window[0]
	for table[window[0]]&1 == table[old]&1 {
		window[0]++
	}
	if got := len(cut(t, data)[0]); got == MinSize {
		t.Error("the first byte of the window does not count")
	}
}

func TestInsertionChangesFewBlocks(t *testing.T) {
	for kind, make := range map[string]func(string, int) []byte{"random": pseudoRandom, "text": pseudoText} {
		t.Run(kind, func(t *testing.T) {
			data := make("insert", 3<<20)
			old := blockSet(cut(t, data))
			rapid.Check(t, func(rt *rapid.T) {
				at := rapid.IntRange(0, len(data)).Draw(rt, "at")
				piece := []byte(rapid.StringN(1, 40, -1).Draw(rt, "piece"))
				edited := append(append(bytes.Clone(data[:at]), piece...), data[at:]...)
				fresh := 0
				for id := range blockSet(cut(t, edited)) {
					if !old[id] {
						fresh++
					}
				}
				if fresh == 0 || fresh > 8 {
					rt.Fatalf("%d blocks of about %d changed", fresh, len(old))
				}
			})
		})
	}
}

func TestByteInsertedAtTheHeadChangesAtMostTwoBlocks(t *testing.T) {
	for kind, make := range map[string]func(string, int) []byte{"random": pseudoRandom, "text": pseudoText} {
		data := make("head", 8<<20)
		old := blockSet(cut(t, data))
		fresh := 0
		for id := range blockSet(cut(t, append([]byte{'!'}, data...))) {
			if !old[id] {
				fresh++
			}
		}
		if fresh > 2 {
			t.Errorf("%s: %d blocks changed", kind, fresh)
		}
	}
}

func blockSet(blocks [][]byte) map[ID]bool {
	set := make(map[ID]bool)
	for _, b := range blocks {
		set[(&Keys{}).ID(b)] = true
	}
	return set
}

func TestBlocksOfRandomDataHaveTheTargetSizeOnAverage(t *testing.T) {
	const total = 24 << 20
	for kind, make := range map[string]func(string, int) []byte{"random": pseudoRandom, "text": pseudoText} {
		if average := total / len(cut(t, make("average", total))); average < TargetSize*85/100 || average > TargetSize*115/100 {
			t.Errorf("%s: blocks of %d bytes on average", kind, average)
		}
	}
}

func TestAnotherKeyCutsElsewhere(t *testing.T) {
	data := pseudoRandom("keys", 8<<20)
	ends := make(map[int]bool)
	n := 0
	for _, size := range sizes(cut(t, data)) {
		n += size
		ends[n] = true
	}
	n = 0
	for _, size := range sizes(cutAll(t, NewChunker(bytes.NewReader(data), [32]byte{'x'}))) {
		if n += size; ends[n] && n < len(data) {
			t.Errorf("both keys cut at %d", n)
		}
	}
}

func TestResetChunkerCutsLikeANewOne(t *testing.T) {
	a, b := pseudoRandom("a", 3<<20), pseudoText("b", 3<<20)
	c := NewChunker(bytes.NewReader(a), testKey)
	if _, err := c.Next(make([]byte, MaxSize)); err != nil { // leaves something read but not returned
		t.Fatal(err)
	}
	c.Reset(bytes.NewReader(b))
	if got, want := sizes(cutAll(t, c)), sizes(cut(t, b)); !equalInts(got, want) {
		t.Errorf("cut into %v, want %v", got, want)
	}
}

func TestReadErrorEndsTheCutting(t *testing.T) {
	broken := errors.New("disk on fire")
	data := pseudoRandom("error", 600<<10)
	c := NewChunker(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), testKey)
	buf := make([]byte, MaxSize)
	read := 0
	for {
		n, err := c.Next(buf)
		if err != nil {
			if !errors.Is(err, broken) || n != 0 {
				t.Fatalf("got %d, %v", n, err)
			}
			break
		}
		if !bytes.Equal(buf[:n], data[read:read+n]) {
			t.Fatal("a block before the error is wrong")
		}
		read += n
	}
	if _, err := c.Next(buf); !errors.Is(err, broken) {
		t.Errorf("the next call says %v", err)
	}
}

func TestReaderWithoutProgressIsAnError(t *testing.T) {
	_, err := NewChunker(stuckReader{}, testKey).Next(make([]byte, MaxSize))
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }
