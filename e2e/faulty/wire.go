package faulty

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
)

// message is a protobuf message under construction.
type message []byte

func (m message) bytes(n protowire.Number, data []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, n, protowire.BytesType), data)
}

func (m message) list(n protowire.Number, list [][]byte) message {
	for _, data := range list {
		m = m.bytes(n, data)
	}
	return m
}

func (m message) uint(n protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, n, protowire.VarintType), v)
}

func (m message) fixed(n protowire.Number, v uint64) message {
	return protowire.AppendFixed64(protowire.AppendTag(m, n, protowire.Fixed64Type), v)
}

// The bodies of index messages (indexexchange.proto).
const (
	bodyRoster     = 1
	bodyStatements = 2
	bodyFrontier   = 3
	bodyAsk        = 4
	bodyBatch      = 5
	bodyDigests    = 6
	bodyAskBuckets = 7
	bodyBucket     = 8
	bodyNothing    = 9
	bodyStatuses   = 10
	bodyUnknown    = 99
)

const scopeAll = 1

// maxMessage is the most that an index message may have.
const maxMessage = 4 << 20

// body wraps the body of an index message.
func body(n protowire.Number, m message) []byte { return message(nil).bytes(n, m) }

// frame puts its length before a message.
func frame(m []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(m))), m...) }

// many repeats an element until the message is as long as may be.
func many(m message, n protowire.Number, element []byte) message {
	one := message(nil).bytes(n, element)
	for len(m)+len(one)+64 < maxMessage {
		m = append(m, one...)
	}
	return m
}

// position is one element of a frontier.
func position(j shoal.JournalID, seq uint64, head [32]byte, time int64) []byte {
	return message(nil).bytes(1, j.Bytes()).uint(2, seq).bytes(3, head[:]).uint(4, uint64(time))
}

// frontier tells everything about a folder.
func frontier(f shoal.FolderID, positions ...[]byte) []byte {
	return body(bodyFrontier, message(nil).bytes(1, f[:]).list(2, positions).uint(3, scopeAll))
}

// inJournal begins the bodies that begin with a folder and a journal.
func inJournal(f shoal.FolderID, j shoal.JournalID) message {
	return message(nil).bytes(1, f[:]).bytes(2, j.Bytes())
}

func batch(f shoal.FolderID, j shoal.JournalID, from, to uint64, records [][]byte, head []byte) []byte {
	return body(bodyBatch, inJournal(f, j).uint(3, from).uint(4, to).list(5, records).bytes(6, head))
}

func digest(n uint64, sum [32]byte) []byte { return message(nil).uint(1, n).bytes(2, sum[:]) }

// request is a question for a block, without a hint.
func request(number uint64, f shoal.FolderID, id []byte, size uint64, epoch shoal.EpochID) []byte {
	return message(nil).bytes(1, message(nil).uint(1, number).bytes(2, f[:]).bytes(3, id).uint(4, size).bytes(5, epoch[:]))
}

// The statuses of an answer.
const (
	answerOK     = 1
	answerAbsent = 2
)

func answer(number, status, size uint64) []byte {
	return message(nil).bytes(1, message(nil).uint(1, number).uint(2, status).uint(3, size))
}

// field returns the first field n of a message that has it as bytes; nil: it has none.
func field(m []byte, n protowire.Number) []byte {
	if all := fields(m, n); len(all) > 0 {
		return all[0]
	}
	return nil
}

// fields returns all fields n of a message that are bytes.
func fields(m []byte, n protowire.Number) (all [][]byte) {
	for len(m) > 0 {
		number, kind, tag := protowire.ConsumeTag(m)
		if tag < 0 {
			return all
		}
		size := protowire.ConsumeFieldValue(number, kind, m[tag:])
		if size < 0 {
			return all
		}
		if number == n && kind == protowire.BytesType {
			data, _ := protowire.ConsumeBytes(m[tag:])
			all = append(all, data)
		}
		m = m[tag+size:]
	}
	return all
}

// number is field for numbers; 0: it has none.
func number(m []byte, n protowire.Number) uint64 {
	for len(m) > 0 {
		at, kind, tag := protowire.ConsumeTag(m)
		if tag < 0 {
			return 0
		}
		size := protowire.ConsumeFieldValue(at, kind, m[tag:])
		if size < 0 {
			return 0
		}
		if at == n && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(m[tag:])
			return v
		}
		m = m[tag+size:]
	}
	return 0
}

// inFuture is a time in the year 2099, in nanoseconds since 1970.
const inFuture = 4_086_000_000 * 1_000_000_000
