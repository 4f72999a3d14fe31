package p2p

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestFramesArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 3), 0, 5).Draw(t, "frames")
		var wire bytes.Buffer
		var want [][]byte
		for _, parts := range frames {
			if err := WriteFrame(&wire, parts...); err != nil {
				t.Fatal(err)
			}
			want = append(want, bytes.Join(parts, nil))
		}
		var r io.Reader = &wire
		switch rapid.IntRange(0, 2).Draw(t, "reader") {
		case 1:
			r = iotest.OneByteReader(r)
		case 2:
			r = bufio.NewReader(r)
		}
		for _, w := range want {
			got, err := ReadFrame(r, 900)
			if err != nil || !bytes.Equal(got, w) {
				t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(w))
			}
		}
		if _, err := ReadFrame(r, 900); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func TestLargeFrameArrives(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("block"), 300_000)
	var wire bytes.Buffer
	if err := WriteFrame(&wire, want[:1000], nil, want[1000:]); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFrame(&wire, len(want))
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestBrokenFramesAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":              {nil, io.EOF},
		"cut in the length":    {[]byte{0x80}, io.ErrUnexpectedEOF},
		"no content":           {[]byte{5}, io.ErrUnexpectedEOF},
		"cut in the content":   {[]byte{5, 1, 2}, io.ErrUnexpectedEOF},
		"one more than max":    {append([]byte{11}, make([]byte, 11)...), ErrFrameTooLarge},
		"huge":                 {binary.AppendUvarint(nil, 1<<62), ErrFrameTooLarge},
		"length not canonical": {[]byte{0x81, 0x00, 1}, ErrMalformedFrame},
		"endless length":       {bytes.Repeat([]byte{0xff}, 20), ErrMalformedFrame},
	} {
		if _, err := ReadFrame(bytes.NewReader(c.raw), 10); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAnnouncedLengthAloneTakesLittleMemory(t *testing.T) {
	raw := binary.AppendUvarint(nil, 64<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadFrame(bytes.NewReader(raw), 64<<20)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.ErrUnexpectedEOF) || used > 1<<20 {
		t.Fatalf("%d bytes for a length without content, %v", used, err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 1, 2, 3})
	f.Add([]byte{0x80, 0x01})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		got, err := ReadFrame(r, 1000)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteFrame(&again, got); err != nil || !bytes.Equal(again.Bytes(), raw[:len(raw)-r.Len()]) {
			t.Fatalf("%x is read as %x, which is written as %x", raw, got, again.Bytes())
		}
	})
}
