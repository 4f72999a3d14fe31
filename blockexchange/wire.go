package blockexchange

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange/internal/blockpb"
	"github.com/shoalmesh/shoal/p2p"
)

// Protocol is the ID of the stream protocol; docs/formats/block-exchange.md describes it.
const Protocol = "/shoal/block/2"

// Limits of messages, checked before memory is taken.
const (
	// maxFetcherFrame holds maxRequests requests of at most 190 bytes, as many cancels, and as many reports of 120 bytes.
	maxFetcherFrame = 96 << 10
	// maxSourceFrame holds haveBatch IDs of 34 bytes.
	maxSourceFrame = 64 << 10
	// maxReports is the greatest number of reports in one message.
	maxReports = maxRequests
	// minAnswer is the size of the smallest answer, a reference node with one child; the smallest sealed block has block.MinSealed.
	minAnswer = 34
	// haveBatch is the greatest number of blocks in one Held.
	haveBatch = 1024
)

// question is a request as a source sees it.
type question struct {
	number uint64
	want   Want
}

// fetcherMessage is what a fetcher sends.
type fetcherMessage struct {
	questions []question
	cancel    []uint64
	reports   []report
}

// answer is how a source ends a request. sealed is set only with statusOK; on the receiving side size is, and the bytes
// still are on the stream.
type answer struct {
	number uint64
	key    Key  // on the sending side only
	want   Want // likewise, and only with statusOK
	status status
	size   int
	sealed []byte
}

type status uint8

// The statuses of answers: the numbers of the format.
const (
	statusOK        = status(blockpb.Status_OK)
	statusAbsent    = status(blockpb.Status_ABSENT)
	statusCancelled = status(blockpb.Status_CANCELLED)
)

// sourceMessage is what a source sends.
type sourceMessage struct {
	answer *answer
	have   []Key
}

func encodeFetcher(m fetcherMessage) []byte {
	pb := &blockpb.FromFetcher{Cancel: m.cancel, Requests: make([]*blockpb.Request, 0, len(m.questions))}
	for _, q := range m.questions {
		w := &q.want
		r := &blockpb.Request{
			Number: q.number, Folder: w.Folder[:], Block: w.Block[:], Size: w.Size, Epoch: epochOf(w),
			Index: w.Hint.Index, Part: w.Hint.Part, Node: w.Node,
		}
		if !w.Hint.Record.IsZero() {
			r.Journal, r.Seq = w.Hint.Record.Journal.Bytes(), uint64(w.Hint.Record.Seq)
		}
		pb.Requests = append(pb.Requests, r)
	}
	for i := range m.reports {
		r := &m.reports[i]
		pb.Reports = append(pb.Reports, &blockpb.Report{Folder: r.folder[:], Block: r.block.ID[:], Epoch: r.block.Epoch[:], Sealed: r.sealed[:]})
	}
	return mustMarshal(pb)
}

// epochOf leaves the epoch of a reference node empty: it has none.
func epochOf(w *Want) []byte {
	if w.Node {
		return nil
	}
	return w.Epoch[:]
}

func decodeReport(r *blockpb.Report) (out report, err error) {
	err = errors.Join(exactly(out.folder[:], r.Folder, "folder"), exactly(out.block.ID[:], r.Block, "block"),
		exactly(out.block.Epoch[:], r.Epoch, "epoch"), exactly(out.sealed[:], r.Sealed, "sealed hash"))
	return out, err
}

func decodeFetcher(raw []byte) (fetcherMessage, error) {
	var pb blockpb.FromFetcher
	var m fetcherMessage
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return m, fmt.Errorf("block request: %w", err)
	}
	if len(pb.Requests) > maxRequests || len(pb.Cancel) > maxRequests || len(pb.Reports) > maxReports {
		return m, fmt.Errorf("%d block requests, %d cancels and %d reports in one message: %w",
			len(pb.Requests), len(pb.Cancel), len(pb.Reports), shoal.ErrInvalid)
	}
	for _, r := range pb.Reports {
		rep, err := decodeReport(r)
		if err != nil {
			return m, fmt.Errorf("report of a block: %w", err)
		}
		m.reports = append(m.reports, rep)
	}
	m.cancel = pb.Cancel
	for _, r := range pb.Requests {
		q, err := decodeQuestion(r)
		if err != nil {
			return m, fmt.Errorf("block request %d: %w", r.Number, err)
		}
		m.questions = append(m.questions, q)
	}
	return m, nil
}

func decodeQuestion(r *blockpb.Request) (question, error) {
	q := question{number: r.Number, want: Want{Size: r.Size, Node: r.Node, Hint: Hint{Index: r.Index, Part: r.Part}}}
	if err := exactly(q.want.Folder[:], r.Folder, "folder"); err != nil {
		return q, err
	}
	if err := exactly(q.want.Block[:], r.Block, "block"); err != nil {
		return q, err
	}
	if !r.Node || len(r.Epoch) > 0 {
		if err := exactly(q.want.Epoch[:], r.Epoch, "epoch"); err != nil {
			return q, err
		}
	}
	if (len(r.Journal) == 0) != (r.Seq == 0) {
		return q, fmt.Errorf("half a hint: %w", shoal.ErrInvalid)
	}
	if len(r.Journal) > 0 {
		j, err := shoal.JournalIDFromBytes(r.Journal)
		if err != nil {
			return q, err
		}
		q.want.Hint.Record = shoal.Dot{Journal: j, Seq: shoal.Seq(r.Seq)}
	}
	return q, q.want.Validate()
}

func encodeSource(m sourceMessage) []byte {
	pb := &blockpb.FromSource{}
	if a := m.answer; a != nil {
		pb.Answer = &blockpb.Answer{Number: a.number, Status: blockpb.Status(a.status), SealedBytes: uint32(a.size)}
	}
	for i := range m.have {
		k := &m.have[i]
		if n := len(pb.Have); n == 0 || string(pb.Have[n-1].Folder) != string(k.Folder[:]) {
			pb.Have = append(pb.Have, &blockpb.Held{Folder: k.Folder[:]})
		}
		h := pb.Have[len(pb.Have)-1]
		h.Blocks = append(h.Blocks, k.Block[:])
	}
	return mustMarshal(pb)
}

func decodeSource(raw []byte) (sourceMessage, error) {
	var pb blockpb.FromSource
	var m sourceMessage
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return m, fmt.Errorf("block answer: %w", err)
	}
	if a := pb.Answer; a != nil {
		m.answer = &answer{number: a.Number, status: status(a.Status), size: int(a.SealedBytes)}
		if err := m.answer.validate(); err != nil {
			return m, fmt.Errorf("block answer %d: %w", a.Number, err)
		}
	}
	for _, h := range pb.Have {
		var k Key
		if err := exactly(k.Folder[:], h.Folder, "folder"); err != nil {
			return m, err
		}
		for _, b := range h.Blocks {
			if err := exactly(k.Block[:], b, "block"); err != nil {
				return m, err
			}
			m.have = append(m.have, k)
		}
	}
	return m, nil
}

func (a *answer) validate() error {
	switch a.status {
	case statusOK:
		if a.size < minAnswer || a.size > block.MaxSealed {
			return fmt.Errorf("sealed block of %d bytes: %w", a.size, shoal.ErrInvalid)
		}
	case statusAbsent, statusCancelled:
		if a.size != 0 {
			return fmt.Errorf("%d bytes with status %d: %w", a.size, a.status, shoal.ErrInvalid)
		}
	default:
		return fmt.Errorf("status %d: %w", a.status, shoal.ErrInvalid)
	}
	return nil
}

// exactly copies src to dst when the lengths are equal.
func exactly(dst, src []byte, what string) error {
	if len(src) != len(dst) {
		return fmt.Errorf("%s of %d bytes: %w", what, len(src), shoal.ErrInvalid)
	}
	copy(dst, src)
	return nil
}

func mustMarshal(m proto.Message) []byte {
	raw, err := proto.Marshal(m)
	if err != nil {
		panic("blockexchange: " + err.Error()) // only invalid UTF-8 in strings fails, and there are no strings
	}
	return raw
}

// writeSource writes a message and, after an answer that is OK, the sealed block.
func writeSource(w io.Writer, m sourceMessage) error {
	if err := p2p.WriteFrame(w, encodeSource(m)); err != nil {
		return err
	}
	if m.answer == nil || m.answer.status != statusOK {
		return nil
	}
	_, err := w.Write(m.answer.sealed)
	return err
}
