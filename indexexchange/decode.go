package indexexchange

import (
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/indexexchange/internal/indexpb"
	"github.com/shoalmesh/shoal/mesh"
)

// decode reads one message. All that a message must obey by itself is checked here; errors wrap ErrProtocol.
func decode(raw []byte) (message, error) {
	if len(raw) > MaxMessage {
		return nil, errWire("message of %d bytes", len(raw))
	}
	if err := checkCounts(raw); err != nil {
		return nil, err
	}
	var pb indexpb.Message
	if err := proto.Unmarshal(raw, &pb); err != nil {
		return nil, errWire("message: %v", err)
	}
	switch body := pb.Body.(type) {
	case *indexpb.Message_Roster:
		return decodeRoster(body.Roster)
	case *indexpb.Message_Statements:
		return statementsMessage{raw: body.Statements.GetRaw(), last: body.Statements.GetLast()}, nil
	case *indexpb.Message_Frontier:
		return decodeFrontier(body.Frontier)
	case *indexpb.Message_Ask:
		k, err := decodeJournal(body.Ask.GetFolder(), body.Ask.GetJournal())
		return askMessage{journal: k, after: shoal.Seq(body.Ask.GetAfter())}, err
	case *indexpb.Message_Batch:
		return decodeBatch(body.Batch)
	case *indexpb.Message_Digests:
		return decodeDigests(body.Digests)
	case *indexpb.Message_AskBuckets:
		return decodeAskBuckets(body.AskBuckets)
	case *indexpb.Message_Bucket:
		return decodeBucket(body.Bucket)
	case *indexpb.Message_Nothing:
		k, err := decodeJournal(body.Nothing.GetFolder(), body.Nothing.GetJournal())
		return nothingMessage{journal: k}, err
	case *indexpb.Message_Statuses:
		return decodeStatuses(body.Statuses)
	}
	return nil, errWire("message without a known body")
}

func decodeRoster(pb *indexpb.Roster) (message, error) {
	m := rosterMessage{wanted: pb.GetWanted(), heads: make([]mesh.Hash, len(pb.GetHeads()))}
	for i, raw := range pb.GetHeads() {
		if err := exactly(m.heads[i][:], raw, "roster head"); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func decodeFrontier(pb *indexpb.Frontier) (message, error) {
	m := frontierMessage{scope: scope(pb.GetScope())}
	if pb.GetScope() < 0 || m.scope > scopeLeft {
		return nil, errWire("frontier of scope %d", pb.GetScope())
	}
	if err := exactly(m.folder[:], pb.GetFolder(), "folder"); err != nil {
		return nil, err
	}
	m.positions = make(map[shoal.JournalID]position, len(pb.GetPositions()))
	for _, w := range pb.GetPositions() {
		j, err := shoal.JournalIDFromBytes(w.GetJournal())
		if err != nil {
			return nil, errWire("position: %v", err)
		}
		p := position{seq: shoal.Seq(w.GetSeq()), time: w.GetTime()}
		if err := exactly(p.head[:], w.GetHead(), "head"); err != nil {
			return nil, err
		}
		if _, twice := m.positions[j]; twice || p.seq == 0 {
			return nil, errWire("position of %s is empty or twice there", j)
		}
		m.positions[j] = p
	}
	return m, nil
}

func decodeJournal(folder, journal []byte) (journalKey, error) {
	var k journalKey
	if err := exactly(k.folder[:], folder, "folder"); err != nil {
		return k, err
	}
	j, err := shoal.JournalIDFromBytes(journal)
	if err != nil {
		return k, errWire("journal: %v", err)
	}
	k.journal = j
	return k, nil
}

func decodeBatch(pb *indexpb.Batch) (message, error) {
	k, err := decodeJournal(pb.GetFolder(), pb.GetJournal())
	if err != nil {
		return nil, err
	}
	m := batchMessage{folder: k.folder, batch: index.Batch{Journal: k.journal, From: shoal.Seq(pb.GetFrom()),
		To: shoal.Seq(pb.GetTo()), Records: pb.GetRecords(), Head: pb.GetHead()}}
	if m.batch.From > m.batch.To || m.batch.To == 0 || len(m.batch.Head) == 0 {
		return nil, errWire("batch from %d to %d with a head of %d bytes", m.batch.From, m.batch.To, len(m.batch.Head))
	}
	for _, w := range pb.GetSmall() {
		s := smallBlock{sealed: w.GetSealed()}
		if err := exactly(s.id[:], w.GetBlock(), "block"); err != nil {
			return nil, err
		}
		if err := exactly(s.epoch[:], w.GetEpoch(), "epoch"); err != nil {
			return nil, err
		}
		if n := len(s.sealed); n == 0 || n > block.MaxSealed {
			return nil, errWire("small block of %d bytes", n)
		}
		m.small = append(m.small, s)
	}
	return m, nil
}

func decodeDigests(pb *indexpb.Digests) (message, error) {
	k, err := decodeJournal(pb.GetFolder(), pb.GetJournal())
	if err != nil {
		return nil, err
	}
	list, err := decodeDigestList(pb.GetBuckets())
	if err == nil && len(pb.GetHead()) == 0 {
		err = errWire("digests without a head")
	}
	return digestsMessage{journal: k, head: pb.GetHead(), list: list}, err
}

func decodeAskBuckets(pb *indexpb.AskBuckets) (message, error) {
	k, err := decodeJournal(pb.GetFolder(), pb.GetJournal())
	if err != nil {
		return nil, err
	}
	if len(pb.GetBuckets()) == 0 {
		return nil, errWire("ask for 0 buckets")
	}
	list, err := decodeDigestList(pb.GetBuckets())
	return askBucketsMessage{journal: k, list: list}, err
}

func decodeDigestList(pb []*indexpb.Digest) ([]index.BucketDigest, error) {
	list := make([]index.BucketDigest, len(pb))
	for i, w := range pb {
		list[i].N = w.GetN()
		if i > 0 && list[i].N <= list[i-1].N {
			return nil, errWire("bucket %d after %d", list[i].N, list[i-1].N)
		}
		if err := exactly(list[i].Digest[:], w.GetDigest(), "digest"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func decodeBucket(pb *indexpb.Bucket) (message, error) {
	k, err := decodeJournal(pb.GetFolder(), pb.GetJournal())
	return bucketMessage{journal: k, n: pb.GetN(), records: pb.GetRecords(), more: pb.GetMore()}, err
}

func decodeStatuses(pb *indexpb.Statuses) (message, error) {
	m := statusesMessage{raw: pb.GetRaw()}
	return m, exactly(m.folder[:], pb.GetFolder(), "folder")
}

// exactly copies src to dst when the lengths are equal.
func exactly(dst, src []byte, what string) error {
	if len(src) != len(dst) {
		return errWire("%s of %d bytes", what, len(src))
	}
	copy(dst, src)
	return nil
}
