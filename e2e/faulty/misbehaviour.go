package faulty

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// Misbehaviour is one thing that a faulty device tries.
type Misbehaviour struct {
	Name string
	// Reason is what the victim's log must say of it; empty where it cannot be told from what an honest device might do.
	Reason string
	// Short marks what short runs try too.
	Short bool
	// Do does it. It returns early where the victim ends it.
	Do func(ctx context.Context, p *Peer) error
}

// Misbehaviours lists all that is tried.
func Misbehaviours() []Misbehaviour {
	return slices.Concat(frames(), hugeLists(), positions(), asks(), heads(), batches(), buckets(), entries(), contents(), seals(),
		statuses(), requests(), answers(), slowAnswers(), connections(), statements())
}

// quick marks a misbehaviour for short runs.
func quick(m Misbehaviour) Misbehaviour {
	m.Short = true
	return m
}

// sends is a misbehaviour on an index stream on which rosters and frontiers were exchanged.
func sends(make func(p *Peer) [][]byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		for _, m := range make(p) {
			if l.send(m) != nil {
				return nil // the victim has had enough
			}
		}
		return nil
	}
}

// unnoticed is sends for what the victim goes on after; it returns when the victim has looked at all of it.
func unnoticed(make func(p *Peer) [][]byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		if err := l.send(make(p)...); err != nil {
			return err
		}
		return l.barrier(p)
	}
}

// barrier returns when the victim has answered something after all that was sent before.
func (l *line) barrier(p *Peer) error {
	k := shoal.JournalID{Device: p.Device(), Nonce: uint64(time.Now().UnixNano())}
	if err := l.send(body(bodyAsk, inJournal(p.folder, k))); err != nil {
		return err
	}
	for {
		m, err := l.await(bodyNothing)
		if err != nil {
			return err
		}
		if string(field(m, 2)) == string(k.Bytes()) {
			return nil
		}
	}
}

// one is a list of one message.
func one(m []byte) [][]byte { return [][]byte{m} }

// random returns random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func random32() [32]byte { return [32]byte(random(32)) }
