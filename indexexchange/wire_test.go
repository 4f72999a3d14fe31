package indexexchange

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
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

func wireJournal(n byte) journalKey {
	return journalKey{folder: shoal.FolderID{1, 2, 3}, journal: shoal.JournalID{Device: shoal.DeviceID{n, 9}, Nonce: uint64(n)}}
}

// examples are one message of each kind; the golden vectors are their encodings.
var examples = map[string]message{
	"roster":           rosterMessage{heads: []mesh.Hash{{1}, {2}}},
	"roster wanted":    rosterMessage{heads: []mesh.Hash{}, wanted: true},
	"statements":       statementsMessage{raw: [][]byte{[]byte("one"), []byte("two")}},
	"statements last":  statementsMessage{last: true},
	"frontier all":     frontierMessage{folder: shoal.FolderID{1, 2, 3}, scope: scopeAll, positions: map[shoal.JournalID]position{wireJournal(1).journal: {seq: 300, head: [32]byte{7}, time: 1_800_000_000_000_000_000}, wireJournal(2).journal: {seq: 1}}},
	"frontier changed": frontierMessage{folder: shoal.FolderID{1, 2, 3}, positions: map[shoal.JournalID]position{wireJournal(1).journal: {seq: 301, head: [32]byte{8}, time: -1}}},
	"frontier left":    frontierMessage{folder: shoal.FolderID{1, 2, 3}, scope: scopeLeft, positions: map[shoal.JournalID]position{}},
	"ask":              askMessage{journal: wireJournal(1), after: 299},
	"ask everything":   askMessage{journal: wireJournal(1)},
	"batch": batchMessage{folder: shoal.FolderID{1, 2, 3}, batch: index.Batch{Journal: wireJournal(1).journal, From: 299, To: 301,
		Records: [][]byte{[]byte("record 300"), []byte("record 301")}, Head: []byte("head")},
		small: []smallBlock{{id: block.ID{5}, epoch: shoal.EpochID{6}, sealed: []byte("sealed")}}},
	"batch of a head alone": batchMessage{folder: shoal.FolderID{1, 2, 3}, batch: index.Batch{Journal: wireJournal(1).journal, From: 301, To: 301, Head: []byte("head")}},
	"digests":               digestsMessage{journal: wireJournal(1), head: []byte("head"), list: []index.BucketDigest{{N: 0, Digest: [32]byte{1}}, {N: 7, Digest: [32]byte{2}}}},
	"ask buckets":           askBucketsMessage{journal: wireJournal(1), list: []index.BucketDigest{{N: 7, Digest: [32]byte{2}}}},
	"bucket":                bucketMessage{journal: wireJournal(1), n: 7, records: [][]byte{[]byte("record")}, more: true},
	"bucket last":           bucketMessage{journal: wireJournal(1), n: 7, records: [][]byte{[]byte("record")}},
	"nothing":               nothingMessage{journal: wireJournal(1)},
	"statuses":              statusesMessage{folder: shoal.FolderID{1, 2, 3}, raw: [][]byte{[]byte("status")}},
}

// vector is one line of testdata/messages.txt: a name, "ok" or what the error must say, and the message in hex.
type vector struct {
	name, want string
	raw        []byte
}

func vectors(t testing.TB) (out []vector) {
	t.Helper()
	f, err := os.Open("testdata/messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) < 2 {
			t.Fatalf("line %q", line)
		}
		v := vector{name: fields[0], want: strings.TrimSuffix(fields[1], " |")}
		if len(fields) > 2 {
			if v.raw, err = hex.DecodeString(fields[2]); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
		}
		out = append(out, v)
	}
	return out
}

func TestGoldenMessages(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			seen[v.name] = true
			m, err := decode(v.raw)
			if v.want != "ok" {
				if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), v.want) {
					t.Errorf("error is %v, not %q", err, v.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(m, examples[v.name]) {
				t.Errorf("decoded %+v", m)
			}
			if again := encode(m); string(again) != string(v.raw) {
				t.Errorf("encoded again: %x", again)
			}
		})
	}
	for name := range examples {
		if !seen[name] {
			t.Errorf("no vector: %s | ok | %x", name, encode(examples[name]))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decode(raw)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("error %v is not ErrProtocol", err)
			}
			return
		}
		again, err := decode(encode(m))
		if err != nil {
			t.Fatalf("what was accepted is refused after encoding: %v", err)
		}
		if string(encode(again)) != string(encode(m)) {
			t.Fatal("decode and encode are no identity")
		}
	})
}
