package faulty

import (
	"context"
	"time"

	"github.com/shoalmesh/shoal"
)

// positions are frontiers that are not true.
func positions() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "a frontier with 20,001 positions", Reason: "more than 20000 positions", Do: sends(func(p *Peer) [][]byte {
			return one(frontier(p.folder, p.garbage(20_001)...))
		})},
		{Name: "a journal twice in a frontier", Reason: "twice", Do: sends(func(p *Peer) [][]byte {
			at := p.filled(1).position()
			return one(frontier(p.folder, at, at))
		})},
		{Name: "a position in a journal with a short ID", Reason: "peer broke the index protocol", Do: sends(func(p *Peer) [][]byte {
			return one(frontier(p.folder, message(nil).bytes(1, random(39)).uint(2, 1).bytes(3, random(32))))
		})},
		{Name: "a frontier of a scope that does not exist", Reason: "frontier of scope", Do: sends(func(p *Peer) [][]byte {
			return one(body(bodyFrontier, message(nil).bytes(1, p.folder[:]).uint(3, 77)))
		})},
		{Name: "20,000 journals that do not exist, and no answer to who asks for them", Do: unnoticed(func(p *Peer) [][]byte {
			return one(frontier(p.folder, p.garbage(20_000)...))
		})},
		{Short: true, Name: "20,000 journals that do not exist, and at once \"nothing\" for each", Do: deniesAll},
		{Name: "20,000 positions in each of 1,000 folders that do not exist", Reason: "positions", Do: fillsFolders},
		{Short: true, Name: "a journal that has got to 2^63, and a head that says so", Reason: "malformed", Do: answersAsks(func(j *journal) []byte {
			c := j.claim()
			c.seq = 1 << 63
			return batch(j.p.folder, j.id, 0, 1<<63, j.records, j.p.sign(c))
		})},
		{Name: "more of a journal of the victim than it has written itself", Do: unnoticed(func(p *Peer) [][]byte {
			id := shoal.JournalID{Device: p.Victim, Nonce: 1}
			return one(frontier(p.folder, position(id, 1000, random32(), time.Now().UnixNano())))
		})},
	}
}

// garbage makes positions in journals that nobody wrote.
func (p *Peer) garbage(n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		id := shoal.JournalID{Device: shoal.DeviceID(random32()), Nonce: uint64(i + 1)}
		list[i] = position(id, uint64(i+1), random32(), int64(i))
	}
	return list
}

// deniesAll answers every ask for a while.
func deniesAll(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx, p.garbage(20_000)...)
	if err != nil {
		return err
	}
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		ask, err := l.await(bodyAsk)
		if err != nil {
			return err
		}
		if err := l.send(body(bodyNothing, message(nil).bytes(1, field(ask, 1)).bytes(2, field(ask, 2)))); err != nil {
			return err
		}
	}
	return nil
}

func fillsFolders(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx)
	if err != nil {
		return err
	}
	list := p.garbage(20_000)
	for range 1000 {
		if l.send(frontier(shoal.FolderID(random(16)), list...)) != nil {
			return nil
		}
	}
	return nil
}

// answersAsks tells of a journal and answers the first ask for it, and a second for another journal, since one lie may be an accident.
func answersAsks(lie func(*journal) []byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		for i := range 2 {
			j := p.filled(3)
			if err := l.answerAsk(j, lie(j), i > 0); err != nil && i == 0 {
				return err
			} else if err != nil {
				return nil // the first lie was enough
			}
		}
		return nil
	}
}

// answerAsk tells of a journal and sends m when the victim asks for it. A victim that has been lied to already may not ask: soon says not to
// wait for long.
func (l *line) answerAsk(j *journal, m []byte, soon bool) error {
	if soon {
		_ = l.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	}
	if err := l.send(frontier(j.p.folder, j.position())); err != nil {
		return err
	}
	if _, err := l.await(bodyAsk); err != nil {
		return err
	}
	return l.send(m)
}

// asks ask for too much.
func asks() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "10,000 asks, and no answer is read", Reason: "open asks", Do: func(ctx context.Context, p *Peer) error {
			l, err := p.talk(ctx)
			if err != nil {
				return err
			}
			ask := body(bodyAsk, inJournal(p.folder, shoal.JournalID{Device: p.Device(), Nonce: 1}))
			for range 10_000 {
				if l.send(ask) != nil {
					break
				}
			}
			return nil
		}},
		{Name: "the same bucket 10,000 times", Do: asksAgain},
		{Name: "64 buckets at once, again and again", Reason: "open asks", Do: sends(func(p *Peer) [][]byte {
			m := inJournal(p.folder, p.newJournal().id)
			for n := range uint64(64) {
				m = m.bytes(3, digest(n, random32()))
			}
			return one(body(bodyAskBuckets, m))
		})},
		{Name: "asks for folders and journals that do not exist, from 2^63", Do: unnoticed(func(p *Peer) [][]byte {
			m := message(nil).bytes(1, random(16)).bytes(2, p.newJournal().id.Bytes())
			return [][]byte{body(bodyAsk, m.uint(3, 1<<63)), body(bodyAsk, inJournal(p.folder, p.newJournal().id).uint(3, 1<<63))}
		})},
		{Name: "an ask for a journal whose ID is too short", Reason: "journal", Do: sends(func(p *Peer) [][]byte {
			return one(body(bodyAsk, message(nil).bytes(1, p.folder[:]).bytes(2, random(7))))
		})},
		{Name: "the whole roster 500 times", Do: func(ctx context.Context, p *Peer) error {
			l, err := p.talk(ctx)
			if err != nil {
				return err
			}
			for range 500 {
				if err := l.send(body(bodyRoster, message(nil).uint(2, 1))); err != nil {
					return err
				}
			}
			return l.barrier(p)
		}},
	}
}

// asksAgain asks for one bucket of the victim's own journal, each time as soon as the answer is there.
func asksAgain(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx)
	if err != nil {
		return err
	}
	id := shoal.JournalID{Device: p.Victim, Nonce: 1}
	ask := body(bodyAskBuckets, inJournal(p.folder, id).bytes(3, digest(0, random32())))
	for range 10_000 {
		if err := l.send(ask); err != nil {
			return err
		}
		if _, err := l.await(bodyNothing); err != nil {
			return err
		}
	}
	return nil
}
