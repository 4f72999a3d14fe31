package faulty

import (
	"bytes"
	"context"
	"slices"

	"github.com/shoalmesh/shoal/mesh"
)

// frames are streams that are no sequence of messages.
func frames() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "a frame of 4 GiB is announced", Reason: "frame is larger than allowed", Do: writes([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})},
		{Name: "the length of a frame never ends", Reason: "malformed frame", Do: writes(bytes.Repeat([]byte{0xff}, 1000))},
		{Name: "a length has a superfluous byte", Reason: "malformed frame", Do: writes([]byte{0x81, 0x00})},
		{Name: "a message is cut off inside", Reason: "peer broke the index protocol", Do: writes(frame([]byte{0x1a, 0x7f, 1, 2, 3}))},
		{Name: "a stream ends inside a frame", Reason: "unexpected EOF", Do: endsInside},
		{Short: true, Name: "empty frames without end", Reason: "message without a known body", Do: writes(make([]byte, 1<<20))},
		{Name: "a kind of message that does not exist", Reason: "message without a known body", Do: sends(func(*Peer) [][]byte {
			return one(body(bodyUnknown, []byte("x")))
		})},
		{Short: true, Name: "4 MiB of fields that nobody knows", Do: unnoticed(func(p *Peer) [][]byte {
			genesis := mesh.Hash(p.mesh)
			return slices.Repeat(one(body(bodyRoster, many(message(nil).bytes(1, genesis[:]), 77, random(100)))), 10)
		})},
		{Name: "random bytes in place of messages", Reason: "index stream ended", Do: writes(random(1 << 20))},
		{Name: "4 MiB announced and sent byte by byte", Do: byteByByte},
	}
}

// writes writes bytes on a fresh index stream.
func writes(raw []byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.index(ctx)
		if err != nil {
			return err
		}
		_, _ = l.Write(raw) // the victim may reset the stream meanwhile
		return l.drained()
	}
}

func endsInside(ctx context.Context, p *Peer) error {
	l, err := p.index(ctx)
	if err != nil {
		return err
	}
	if _, err := l.Write([]byte{100, 1, 2, 3}); err != nil {
		return err
	}
	return l.CloseWrite()
}

// byteByByte sends single bytes in frames of their own until ctx or its patience ends.
func byteByByte(ctx context.Context, p *Peer) error {
	l, err := p.index(ctx)
	if err != nil {
		return err
	}
	if _, err := l.Write([]byte{0x80, 0x80, 0x80, 0x02}); err != nil {
		return err
	}
	for range 5000 {
		if _, err := l.Write([]byte{0}); err != nil {
			return err
		}
	}
	return nil
}

// hugeLists are messages below the limit of bytes whose lists have millions of elements.
func hugeLists() []Misbehaviour {
	repeated := func(make func(p *Peer) []byte) func(context.Context, *Peer) error {
		return func(ctx context.Context, p *Peer) error {
			for range 4 { // each on a stream of its own, since the victim ends it
				l, err := p.talk(ctx)
				if err != nil {
					return err
				}
				if l.send(make(p)) == nil {
					l.hearsNothing(200e6)
				}
			}
			return nil
		}
	}
	return []Misbehaviour{
		{Short: true, Name: "2 million empty positions in one frontier", Reason: "more than 20000 positions", Do: repeated(func(p *Peer) []byte {
			return body(bodyFrontier, many(message(nil).bytes(1, p.folder[:]), 2, nil))
		})},
		{Name: "2 million empty digests under one head", Reason: "more than 116508 digests", Do: repeated(func(p *Peer) []byte {
			j := p.newJournal()
			return body(bodyDigests, many(inJournal(p.folder, j.id).bytes(3, []byte("head")), 4, nil))
		})},
		{Name: "2 million buckets asked for in one message", Reason: "more than 64 buckets", Do: repeated(func(p *Peer) []byte {
			return body(bodyAskBuckets, many(inJournal(p.folder, p.newJournal().id), 3, nil))
		})},
		{Short: true, Name: "2 million empty records in a batch", Reason: "more than 16384 records", Do: repeated(func(p *Peer) []byte {
			j := p.filled(1)
			return body(bodyBatch, many(inJournal(p.folder, j.id).uint(4, 1).bytes(6, j.head()), 5, nil))
		})},
		{Name: "2 million empty small blocks beside a record", Reason: "more than 64 small blocks", Do: repeated(func(p *Peer) []byte {
			j := p.filled(1)
			return body(bodyBatch, many(inJournal(p.folder, j.id).uint(4, 1).bytes(6, j.head()), 7, nil))
		})},
		{Name: "2 million empty records in a bucket", Reason: "more than 1024 records in a bucket", Do: repeated(func(p *Peer) []byte {
			return body(bodyBucket, many(inJournal(p.folder, p.newJournal().id), 4, nil))
		})},
		{Short: true, Name: "2 million empty statements", Reason: "more than 16384 statements", Do: repeated(func(*Peer) []byte {
			return body(bodyStatements, many(nil, 1, nil))
		})},
		{Name: "2 million empty statuses", Reason: "more than 1024 statuses", Do: repeated(func(p *Peer) []byte {
			return body(bodyStatuses, many(message(nil).bytes(1, p.folder[:]), 2, nil))
		})},
		{Name: "2 million empty roster heads", Reason: "more than 4096 roster heads", Do: repeated(func(*Peer) []byte {
			return body(bodyRoster, many(nil, 1, nil))
		})},
	}
}
