package blockexchange

import (
	"bufio"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// examples are messages of each kind; the golden vectors are their encodings.
var fetcherExamples = map[string]fetcherMessage{
	"request": {questions: []question{{number: 1, want: Want{Folder: shoal.FolderID{1, 2}, Block: block.ID{3}, Size: 262144, Epoch: shoal.EpochID{4}}}}},
	"request with a hint": {questions: []question{{number: 2, want: Want{Folder: shoal.FolderID{1, 2}, Block: block.ID{3}, Size: 1, Epoch: shoal.EpochID{4},
		Hint: Hint{Record: shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{5}, Nonce: 6}, Seq: 7}, Index: 8, Part: true}}}}},
	"cancel": {cancel: []uint64{1, 300}},
	"unknown size": {questions: []question{{number: 1, want: Want{Folder: shoal.FolderID{1}, Block: block.ID{2}, Epoch: shoal.EpochID{3},
		Hint: Hint{Record: shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{5}, Nonce: 6}, Seq: 7}}}}}},
	"node": {questions: []question{{number: 2, want: Want{Folder: shoal.FolderID{1}, Block: block.ID{2}, Node: true,
		Hint: Hint{Record: shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{5}, Nonce: 6}, Seq: 7}}}}}},
	"report": {reports: []report{{folder: shoal.FolderID{1}, block: block.EpochRef{ID: block.ID{2}, Epoch: shoal.EpochID{3}}, sealed: [32]byte{4}}}},
}

var sourceExamples = map[string]sourceMessage{
	"answer":    {answer: &answer{number: 1, status: statusOK, size: 300}},
	"absent":    {answer: &answer{number: 2, status: statusAbsent}},
	"cancelled": {answer: &answer{number: 300, status: statusCancelled}},
	"have": {have: []Key{{Folder: shoal.FolderID{1}, Block: block.ID{2}}, {Folder: shoal.FolderID{1}, Block: block.ID{3}},
		{Folder: shoal.FolderID{4}, Block: block.ID{2}}}},
}

// vector is one line of testdata/messages2.txt: side, name, "ok" or what the error must say, and the message in hex.
type vector struct {
	side, name, want string
	raw              []byte
}

func vectors(t testing.TB) (out []vector) {
	t.Helper()
	f, err := os.Open("testdata/messages2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) != 4 {
			t.Fatalf("line %q", line)
		}
		raw, err := hex.DecodeString(fields[3])
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, vector{side: fields[0], name: fields[1], want: fields[2], raw: raw})
	}
	return out
}

// decodeSide decodes and encodes a message of one side.
func decodeSide(side string, raw []byte) (m any, again []byte, err error) {
	if side == "fetcher" {
		m, err := decodeFetcher(raw)
		return m, encodeFetcher(m), err
	}
	s, err := decodeSource(raw)
	if err != nil {
		return s, nil, err
	}
	return s, encodeSource(s), nil
}

func TestGoldenMessages(t *testing.T) {
	want := map[string]any{}
	for name, m := range fetcherExamples {
		want["fetcher "+name] = m
	}
	for name, m := range sourceExamples {
		want["source "+name] = m
	}
	for _, v := range vectors(t) {
		t.Run(v.side+" "+v.name, func(t *testing.T) {
			m, again, err := decodeSide(v.side, v.raw)
			if v.want != "ok" {
				if err == nil || !strings.Contains(err.Error(), v.want) {
					t.Errorf("error is %v, not %q", err, v.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(m, want[v.side+" "+v.name]) {
				t.Errorf("decoded %+v", m)
			}
			if string(again) != string(v.raw) {
				t.Errorf("encoded again: %x", again)
			}
			delete(want, v.side+" "+v.name)
		})
	}
	for name := range want {
		t.Errorf("no vector for %s", name)
	}
}

func fuzzSide(f *testing.F, side string) {
	for _, v := range vectors(f) {
		if v.side == side {
			f.Add(v.raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, again, err := decodeSide(side, raw)
		if err != nil {
			return
		}
		_, third, err := decodeSide(side, again)
		if err != nil {
			t.Fatalf("what was accepted is refused after encoding: %v", err)
		}
		if string(third) != string(again) {
			t.Fatal("decode and encode are no identity")
		}
	})
}

func FuzzDecodeFetcher(f *testing.F) { fuzzSide(f, "fetcher") }

func FuzzDecodeSource(f *testing.F) { fuzzSide(f, "source") }

func TestEveryMessageFitsItsFrame(t *testing.T) {
	var m fetcherMessage
	for i := range uint64(maxRequests) {
		w := Want{Folder: shoal.FolderID{1}, Block: block.ID{1}, Size: block.MaxSize, Epoch: shoal.EpochID{1}, Hint: Hint{
			Record: shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{1}, Nonce: 1<<64 - 1}, Seq: 1<<64 - 1}, Index: 1<<32 - 1, Part: true}}
		m.questions = append(m.questions, question{number: 1<<64 - 1 - i, want: w})
		m.cancel = append(m.cancel, 1<<64-1-i)
		m.reports = append(m.reports, report{folder: shoal.FolderID{1}, block: block.EpochRef{ID: block.ID{1}}})
	}
	if n := len(encodeFetcher(m)); n > maxFetcherFrame {
		t.Errorf("the biggest request message has %d bytes", n)
	}
	var s sourceMessage
	for i := range haveBatch {
		s.have = append(s.have, Key{Folder: shoal.FolderID{byte(i), byte(i >> 8)}, Block: block.ID{1}})
	}
	if n := len(encodeSource(s)); n > maxSourceFrame {
		t.Errorf("the biggest have message has %d bytes", n)
	}
}

func TestSealedBlocksFitTheirBound(t *testing.T) {
	names := new(block.Keys)
	for _, size := range []int{1, 2, 63, 64, 1000, 65_535, 65_536, 65_537, 262_144, 1_000_000, block.MaxSize} {
		data := make([]byte, size)
		for _, c := range []block.Compression{block.Off, block.On} {
			sealed, err := block.Seal(nil, block.SealKey{}, shoal.EpochID{}, names.ID(data), data, c, zeros{})
			if err != nil {
				t.Fatal(err)
			}
			if len(sealed) > sealedBound(uint32(size)) {
				t.Errorf("a block of %d bytes is sealed in %d, the bound is %d", size, len(sealed), sealedBound(uint32(size)))
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestInvalidWantsAreRefused(t *testing.T) {
	good := Want{Folder: shoal.FolderID{1}, Block: block.ID{1}, Size: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, w := range map[string]Want{
		"no folder":         {Block: good.Block, Size: 1},
		"no block":          {Folder: good.Folder, Size: 1},
		"node of no record": {Folder: good.Folder, Block: good.Block, Node: true},
		"too big":           {Folder: good.Folder, Block: good.Block, Size: block.MaxSize + 1},
	} {
		if err := w.Validate(); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
