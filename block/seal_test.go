package block

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

func TestSealedBlockOpensToTheSameBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plain := drawFile(rt)
		plain = append(plain[:min(len(plain), MaxSize-1)], 1)
		c := Compression(rapid.IntRange(0, int(Tight)).Draw(rt, "compression"))
		keys := &Keys{BlockID: testKey}
		key, epoch, id := SealKey{3}, shoal.EpochID{2}, keys.ID(plain)
		before := bytes.Clone(plain)
		sealed, err := Seal([]byte("before"), key, epoch, id, plain, c, rand.Reader)
		if err != nil {
			rt.Fatal(err)
		}
		if n := len(sealed) - 6; n < MinSealed || n > MaxSealed || n != headSize+Padme(n-headSize-tagSize)+tagSize {
			rt.Fatalf("%d bytes sealed to %d", len(plain), n)
		}
		if string(sealed[:6]) != "before" || !bytes.Equal(plain, before) {
			rt.Fatal("sealing changed what it was given")
		}
		got, err := Open([]byte("head"), key, epoch, keys, id, sealed[6:])
		if err != nil || !bytes.Equal(got, append([]byte("head"), plain...)) {
			rt.Fatalf("opened to %d bytes, want %d: %v", len(got), len(plain)+4, err)
		}
	})
}

func TestSealedSizeTellsOnlyThePaddedSize(t *testing.T) {
	seal := func(n int) int {
		plain := pseudoRandom("size", n)
		sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, (&Keys{}).ID(plain), plain, Auto, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return len(sealed)
	}
	if a, b := seal(200_000), seal(200_001); a != b {
		t.Errorf("200,000 bytes seal to %d, one more to %d", a, b)
	}
	if got := seal(MaxSize); got != MaxSealed {
		t.Errorf("the biggest block seals to %d, want MaxSealed = %d", got, MaxSealed)
	}
	if got := seal(1); got != MinSealed {
		t.Errorf("the smallest block seals to %d, want MinSealed = %d", got, MinSealed)
	}
}

func TestOnlyWhatCompressesIsCompressed(t *testing.T) {
	text, random := pseudoText("compress", TargetSize), pseudoRandom("compress", TargetSize)
	for _, row := range []struct {
		name  string
		plain []byte
		c     Compression
		want  byte
	}{
		{"text", text, Auto, flagCompressed},
		{"text, off", text, Off, 0},
		{"random", random, Auto, 0},
		{"random, on", random, On, 0},
		{"text, tight", text, Tight, flagCompressed},
		{"random, tight", random, Tight, 0},
		{"short log", bytes.Repeat([]byte("ok, done\n"), 30), Auto, flagCompressed},
		{"one byte", text[:1], Auto, 0},
		{"zeros", make([]byte, MaxSize), Auto, flagCompressed},
	} {
		sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, ID{1}, row.plain, row.c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if sealed[1] != row.want {
			t.Errorf("%s: flags %d, want %d", row.name, sealed[1], row.want)
		}
	}
}

func TestTightIsSmallerAndOpens(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	for name, plain := range map[string][]byte{"text": pseudoText("tight", TargetSize), "big text": pseudoText("tight", MaxSize), "zeros": make([]byte, MaxSize)} {
		id := keys.ID(plain)
		size := map[Compression]int{}
		for _, c := range []Compression{Auto, Tight} {
			sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, id, plain, c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Open(nil, SealKey{}, shoal.EpochID{}, keys, id, sealed); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s, compression %d: opened to %d bytes, %v", name, c, len(got), err)
			}
			size[c] = len(sealed)
		}
		if size[Tight] > size[Auto] || name != "zeros" && size[Tight] == size[Auto] {
			t.Errorf("%s: %d bytes, tight %d", name, size[Auto], size[Tight])
		}
	}
}

func TestEverythingThatIsBoundIsChecked(t *testing.T) {
	keys := &Keys{BlockID: testKey}
	plain := []byte("what only this folder may read")
	id := keys.ID(plain)
	key, epoch := SealKey{1}, shoal.EpochID{2}
	sealed, err := Seal(nil, key, epoch, id, plain, Off, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"other seal key":     func() ([]byte, error) { return Open(nil, SealKey{9}, epoch, keys, id, sealed) },
		"other epoch":        func() ([]byte, error) { return Open(nil, key, shoal.EpochID{9}, keys, id, sealed) },
		"other block":        func() ([]byte, error) { return Open(nil, key, epoch, keys, ID{9}, sealed) },
		"other block-ID key": func() ([]byte, error) { return Open(nil, key, epoch, &Keys{}, id, sealed) },
	} {
		got, err := open()
		var corrupt *CorruptError
		if got != nil || !errors.As(err, &corrupt) {
			t.Errorf("%s: opened to %q, %v", name, got, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x80
		if got, err := Open(nil, key, epoch, keys, id, bad); got != nil || err == nil {
			t.Fatalf("byte %d changed: opened to %q", i, got)
		}
	}
}

func TestOversizedBlockIsRefusedUnopened(t *testing.T) {
	_, err := Open(nil, SealKey{}, shoal.EpochID{}, &Keys{}, ID{1}, make([]byte, MaxSealed+1))
	if !errors.Is(err, ErrOversized) {
		t.Errorf("got %v", err)
	}
}

func TestSealRefusesWhatIsNoBlock(t *testing.T) {
	for name, row := range map[string]struct {
		plain []byte
		c     Compression
		rand  io.Reader
		want  error
	}{
		"no bytes":        {nil, Auto, rand.Reader, ErrSize},
		"too many bytes":  {make([]byte, MaxSize+1), Auto, rand.Reader, ErrSize},
		"no randomness":   {[]byte{1}, Auto, bytes.NewReader(make([]byte, 5)), io.ErrUnexpectedEOF},
		"odd compression": {[]byte{1}, 77, rand.Reader, nil},
	} {
		dst := []byte("before")
		got, err := Seal(dst, SealKey{}, shoal.EpochID{}, ID{1}, row.plain, row.c, row.rand)
		if got != nil || err == nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if string(dst) != "before" {
			t.Errorf("%s: dst was changed", name)
		}
	}
}

func TestTwoSealingsDiffer(t *testing.T) {
	seal := func() []byte {
		sealed, err := Seal(nil, SealKey{}, shoal.EpochID{}, ID{1}, []byte("same"), Off, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	if a, b := seal(), seal(); bytes.Equal(a, b) || SealedHash(a) == SealedHash(b) {
		t.Error("two sealings of one block are the same")
	}
}

func TestSealedWhereItLiesIsTheSame(t *testing.T) {
	keys := &Keys{}
	for _, size := range []int{1, 1000, MaxSize} {
		for _, c := range []Compression{Off, Auto, On, Tight} {
			data := bytes.Repeat([]byte("compresses well "), size/16+1)[:size]
			id := keys.ID(data)
			before := []byte("before")
			buf := append(make([]byte, 0, len(before)+MaxSealed+64<<10), before...)
			at := buf[len(buf)+PlainOffset : len(buf)+PlainOffset+size : len(buf)+PlainOffset+size]
			copy(at, data)
			inPlace, err := Seal(buf, SealKey{1}, shoal.EpochID{2}, id, at, c, bytes.NewReader(make([]byte, nonceSize)))
			if err != nil {
				t.Fatal(err)
			}
			copied, err := Seal(nil, SealKey{1}, shoal.EpochID{2}, id, data, Off, bytes.NewReader(make([]byte, nonceSize)))
			if err != nil {
				t.Fatal(err)
			}
			if &inPlace[0] != &buf[0] || !bytes.Equal(inPlace, append(before, copied...)) {
				t.Errorf("%d bytes, compression %v: sealed where they lie they give something else", size, c)
			}
		}
	}
}
