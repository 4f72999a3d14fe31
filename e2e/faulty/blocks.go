package faulty

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// questions writes frames on a block stream and reads what comes until the victim ends it.
func questions(make func(p *Peer) [][]byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.blocks(ctx)
		if err != nil {
			return err
		}
		for _, m := range make(p) {
			if l.send(m) != nil {
				break
			}
		}
		return l.drained()
	}
}

// requests ask for blocks as no honest device does.
func requests() []Misbehaviour {
	unknown := func(p *Peer, number uint64) []byte { return request(number, p.folder, random(32), 1000, p.epoch.ID) }
	return []Misbehaviour{
		{Name: "a request of 4 GiB is announced", Reason: "frame is larger than allowed", Do: func(ctx context.Context, p *Peer) error {
			l, err := p.blocks(ctx)
			if err != nil {
				return err
			}
			_, _ = l.Write([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
			return l.drained()
		}},
		{Short: true, Name: "257 requests at once", Reason: "257 block requests", Do: questions(func(p *Peer) [][]byte {
			var m []byte
			for i := range uint64(257) {
				m = append(m, unknown(p, i+1)...)
			}
			return one(m)
		})},
		{Name: "one request twice", Reason: "peer broke the block protocol", Do: questions(func(p *Peer) [][]byte {
			return one(append(unknown(p, 1), unknown(p, 1)...))
		})},
		{Name: "a request for 4 GiB", Reason: "block request 1", Do: questions(func(p *Peer) [][]byte {
			return one(request(1, p.folder, random(32), 1<<32-1, p.epoch.ID))
		})},
		{Name: "a request with a block ID of 7 bytes", Reason: "block of 7 bytes", Do: questions(func(p *Peer) [][]byte {
			return one(request(1, p.folder, []byte("7 bytes"), 1000, p.epoch.ID))
		})},
		{Short: true, Name: "requests without end, and no answer is read", Reason: "peer broke the block protocol", Do: questions(func(p *Peer) [][]byte {
			out := make([][]byte, 5000)
			for i := range out {
				out[i] = unknown(p, uint64(i+1))
			}
			return out
		})},
		{Name: "10,000 blocks that do not exist", Do: asksForNothing(10_000)},
		{Name: "a million blocks that do not exist", Do: asksForNothing(1_000_000)},
		{Name: "blocks of a folder and an epoch that do not exist", Do: func(ctx context.Context, p *Peer) error {
			l, err := p.blocks(ctx)
			if err != nil {
				return err
			}
			ask := append(request(1, shoal.FolderID{9}, random(32), 1000, p.epoch.ID), request(2, p.folder, random(32), 1000, shoal.EpochID{7})...)
			if err := l.send(ask); err != nil {
				return err
			}
			return l.absents(2)
		}},
	}
}

// absents reads answers that must all say that a block is not there.
func (l *line) absents(n int) error {
	for range n {
		m, err := l.read()
		if err != nil {
			return err
		}
		if got := number(field(m, 1), 2); got != answerAbsent {
			return fmt.Errorf("an answer of status %d where there is no such block", got)
		}
	}
	return nil
}

func asksForNothing(count int) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.blocks(ctx)
		if err != nil {
			return err
		}
		for n := 0; n < count; n += 200 {
			var m []byte
			for i := range 200 {
				m = append(m, request(uint64(n+i+1), p.folder, random(32), 1000, p.epoch.ID)...)
			}
			if err := l.send(m); err != nil {
				return err
			}
			if err := l.absents(200); err != nil {
				return err
			}
		}
		return nil
	}
}

// offers records files of one block each, and calls serve for each that the victim asks for, until it was asked for all or ends the stream.
// says is the size that the record gives.
func offers(path string, files int, says uint32, serve func(l *line, number uint64, sealed []byte) error) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		j, open := p.newJournal(), map[block.ID][]byte{}
		for range files {
			id, sealed, err := p.blockOf(100_000)
			if err != nil {
				return err
			}
			open[id] = sealed
			j.add(j.file(fmt.Sprintf("%s-%x", path, id[:4]), recipe(says, id)), id)
		}
		if err := l.send(j.batch()); err != nil {
			return err
		}
		for len(open) > 0 {
			s, m, err := p.requested(ctx)
			if err != nil {
				return err
			}
			for _, ask := range fields(m, 1) {
				id := block.ID(field(ask, 3))
				sealed, wanted := open[id]
				delete(open, id)
				if !wanted { // of an earlier file
					err = s.send(answer(number(ask, 1), answerAbsent, 0))
				} else {
					err = serve(s, number(ask, 1), sealed)
				}
				if err != nil {
					return nil // the victim has had enough
				}
			}
		}
		return nil
	}
}

// answers are blocks that are not what was asked for.
func answers() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "two blocks of other bytes", Reason: "stop fetching from device", Do: offers("faulty-bytes", 2, 100_000, func(l *line, n uint64, sealed []byte) error {
			return l.block(n, random(len(sealed)))
		})},
		{Name: "a block that was altered in one bit", Reason: "block does not open", Do: offers("faulty-bit", 1, 100_000, func(l *line, n uint64, sealed []byte) error {
			sealed[len(sealed)/2] ^= 1
			return l.block(n, sealed)
		})},
		{Name: "a block that is bigger than its record says", Reason: "block has another size", Do: offers("faulty-size", 1, 99_000, func(l *line, n uint64, sealed []byte) error {
			return l.block(n, sealed)
		})},
		{Name: "a block that is much bigger than was asked for", Reason: "sealed block of", Do: offers("faulty-big", 1, 1000, func(l *line, n uint64, sealed []byte) error {
			return l.block(n, sealed)
		})},
		{Name: "a block of 4 GiB is announced", Reason: "sealed block of", Do: offers("faulty-4g", 1, 100_000, func(l *line, n uint64, _ []byte) error {
			return l.send(answer(n, answerOK, 1<<32-1))
		})},
		{Short: true, Name: "a block that nobody asked for", Reason: "which is not open", Do: offers("faulty-unasked", 1, 100_000, func(l *line, n uint64, sealed []byte) error {
			return l.block(n+1000, sealed)
		})},
		{Name: "a status of an answer that does not exist", Reason: "status 77", Do: offers("faulty-status", 1, 100_000, func(l *line, n uint64, _ []byte) error {
			return l.send(answer(n, 77, 0))
		})},
		{Short: true, Name: "block data without end", Reason: "block stream ended", Do: offers("faulty-endless", 1, 100_000, func(l *line, n uint64, sealed []byte) error {
			if err := l.block(n, sealed); err != nil {
				return err
			}
			for {
				if _, err := l.Write(random(64 << 10)); err != nil {
					return nil
				}
			}
		})},
	}
}

// slowAnswers are blocks that take their time.
func slowAnswers() []Misbehaviour {
	return []Misbehaviour{
		{Name: "500,000 notices of blocks that nobody wants", Do: offers("faulty-have", 1, 100_000, func(l *line, _ uint64, _ []byte) error {
			m := message(nil).bytes(1, random(16))
			for len(m) < 60<<10 {
				m = m.bytes(2, random(32))
			}
			for range 300 {
				if err := l.send(message(nil).bytes(2, m)); err != nil {
					return err
				}
			}
			return nil
		})},
		{Name: "a block byte by byte", Do: offers("faulty-slow", 1, 100_000, func(l *line, n uint64, sealed []byte) error {
			if err := l.send(answer(n, answerOK, uint64(len(sealed)))); err != nil {
				return err
			}
			for i := range 3000 {
				if _, err := l.Write(sealed[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		})},
		{Name: "a block that is promised and never comes", Reason: "stop fetching from device", Do: offers("faulty-never", 1, 100_000, func(l *line, _ uint64, _ []byte) error {
			l.hearsNothing(40 * time.Second)
			return nil
		})},
	}
}

// block answers a request.
func (l *line) block(number uint64, sealed []byte) error {
	if err := l.send(answer(number, answerOK, uint64(len(sealed)))); err != nil {
		return err
	}
	_, err := l.Write(sealed)
	return err
}
