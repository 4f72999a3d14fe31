package indexexchange

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange/internal/indexpb"
	"github.com/shoalmesh/shoal/mesh"
)

// Protocol is the ID of the stream protocol; docs/formats/index-exchange.md describes it.
const Protocol = "/shoal/index/1"

// Limits of messages, checked before they are used; MaxMessage before memory is taken.
const (
	// MaxMessage is the greatest size of an encoded message.
	MaxMessage = 4 << 20
	// maxBatchBytes bounds the records of a batch, and the records of one bucket message unless a single one is bigger.
	maxBatchBytes = 1 << 20
	// maxSmallBytes bounds the small blocks of a batch together, maxSmallBlock each one's plaintext.
	maxSmallBytes = 1 << 20
	maxSmallBlock = 64 << 10
	// maxSmallRecords is the longest batch that small blocks travel with: a live commit, not a journal.
	maxSmallRecords = 64
	// maxPositions bounds the journals of one folder that a peer may name, in one message and in all.
	maxPositions = 20_000
	// maxHeads bounds the heads of a roster in one message.
	maxHeads = 4096
	// maxAskBuckets bounds the buckets that one message may ask for.
	maxAskBuckets = 64
	// maxStatuses bounds the statements in one message, maxStatusBytes each one; a bigger one is not passed on.
	maxStatuses    = 1024
	maxStatusBytes = 3 << 20
)

// message is one of the types below; each is one body of the .proto.
type message interface{}

type rosterMessage struct {
	heads  []mesh.Hash
	wanted bool
}

type statementsMessage struct {
	raw  [][]byte
	last bool
}

type scope uint8

// The scopes of a frontier: the numbers of the format.
const (
	scopeChanged = scope(indexpb.Scope_CHANGED)
	scopeAll     = scope(indexpb.Scope_ALL)
	scopeLeft    = scope(indexpb.Scope_LEFT)
)

type frontierMessage struct {
	folder    shoal.FolderID
	positions map[shoal.JournalID]position
	scope     scope
}

type askMessage struct {
	journal journalKey
	after   shoal.Seq
}

type smallBlock struct {
	id     block.ID
	epoch  shoal.EpochID
	sealed []byte
}

type batchMessage struct {
	folder shoal.FolderID
	batch  index.Batch
	small  []smallBlock
}

type digestsMessage struct {
	journal journalKey
	head    []byte
	list    []index.BucketDigest
}

type askBucketsMessage struct {
	journal journalKey
	list    []index.BucketDigest
}

type bucketMessage struct {
	journal journalKey
	n       uint64
	records [][]byte
	more    bool
}

type nothingMessage struct{ journal journalKey }

type statusesMessage struct {
	folder shoal.FolderID
	raw    [][]byte
}

// journalKey names a journal in a folder.
type journalKey struct {
	folder  shoal.FolderID
	journal shoal.JournalID
}

func encode(m message) []byte {
	raw, err := proto.Marshal(toWire(m))
	if err != nil {
		panic("indexexchange: " + err.Error()) // only invalid UTF-8 in strings fails, and there are no strings
	}
	return raw
}

func toWire(m message) *indexpb.Message {
	switch m := m.(type) {
	case rosterMessage:
		heads := make([][]byte, len(m.heads))
		for i := range m.heads {
			heads[i] = m.heads[i][:]
		}
		return &indexpb.Message{Body: &indexpb.Message_Roster{Roster: &indexpb.Roster{Heads: heads, Wanted: m.wanted}}}
	case statementsMessage:
		return &indexpb.Message{Body: &indexpb.Message_Statements{Statements: &indexpb.Statements{Raw: m.raw, Last: m.last}}}
	case frontierMessage:
		return &indexpb.Message{Body: &indexpb.Message_Frontier{Frontier: frontierToWire(m)}}
	case askMessage:
		f, j := m.journal.bytes()
		return &indexpb.Message{Body: &indexpb.Message_Ask{Ask: &indexpb.Ask{Folder: f, Journal: j, After: uint64(m.after)}}}
	case batchMessage:
		return &indexpb.Message{Body: &indexpb.Message_Batch{Batch: batchToWire(m)}}
	case digestsMessage:
		f, j := m.journal.bytes()
		return &indexpb.Message{Body: &indexpb.Message_Digests{
			Digests: &indexpb.Digests{Folder: f, Journal: j, Head: m.head, Buckets: digestsToWire(m.list)}}}
	case askBucketsMessage:
		f, j := m.journal.bytes()
		return &indexpb.Message{Body: &indexpb.Message_AskBuckets{
			AskBuckets: &indexpb.AskBuckets{Folder: f, Journal: j, Buckets: digestsToWire(m.list)}}}
	case bucketMessage:
		f, j := m.journal.bytes()
		return &indexpb.Message{Body: &indexpb.Message_Bucket{
			Bucket: &indexpb.Bucket{Folder: f, Journal: j, N: m.n, Records: m.records, More: m.more}}}
	case nothingMessage:
		f, j := m.journal.bytes()
		return &indexpb.Message{Body: &indexpb.Message_Nothing{Nothing: &indexpb.Nothing{Folder: f, Journal: j}}}
	case statusesMessage:
		return &indexpb.Message{Body: &indexpb.Message_Statuses{Statuses: &indexpb.Statuses{Folder: m.folder[:], Raw: m.raw}}}
	}
	panic(fmt.Sprintf("indexexchange: message of type %T", m))
}

func (k *journalKey) bytes() (folder, journal []byte) { return k.folder[:], k.journal.Bytes() }

func frontierToWire(m frontierMessage) *indexpb.Frontier {
	pb := &indexpb.Frontier{Folder: m.folder[:], Scope: indexpb.Scope(m.scope)}
	for _, j := range sortedJournals(m.positions) {
		p := m.positions[j]
		pb.Positions = append(pb.Positions, &indexpb.Position{
			Journal: j.Bytes(), Seq: uint64(p.seq), Head: append([]byte(nil), p.head[:]...), Time: p.time})
	}
	return pb
}

func batchToWire(m batchMessage) *indexpb.Batch {
	b := &m.batch
	pb := &indexpb.Batch{Folder: m.folder[:], Journal: b.Journal.Bytes(), From: uint64(b.From), To: uint64(b.To),
		Records: b.Records, Head: b.Head}
	for i := range m.small {
		s := &m.small[i]
		pb.Small = append(pb.Small, &indexpb.Small{Block: s.id[:], Epoch: s.epoch[:], Sealed: s.sealed})
	}
	return pb
}

func digestsToWire(list []index.BucketDigest) []*indexpb.Digest {
	pb := make([]*indexpb.Digest, len(list))
	for i := range list {
		pb[i] = &indexpb.Digest{N: list[i].N, Digest: list[i].Digest[:]}
	}
	return pb
}

// errWire makes an error about a message that breaks the format.
func errWire(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrProtocol)...)
}
