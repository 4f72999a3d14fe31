package faulty

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/rosterfile"
)

// Thief has the home of a device, with its keys, and is connected with one device of the mesh, its victim.
type Thief struct {
	*Peer
	journal *journal // the last that Replaces began
}

// Steal makes a thief from the home of a device that does not run.
func Steal(ctx context.Context, home string, victim shoal.DeviceID, addrs []string) (*Thief, error) {
	id, err := mesh.LoadIdentity(filepath.Join(home, "device.key"))
	if err != nil {
		return nil, err
	}
	store, err := rosterfile.Open(filepath.Join(home, "roster"), id, nil)
	if err != nil {
		return nil, err
	}
	p := &Peer{Victim: victim, id: id, roster: mesh.NewRoster(), mesh: store.State().Mesh()}
	for _, raw := range store.Since(nil) {
		if _, err := p.roster.Add(raw); err != nil {
			return nil, err
		}
	}
	for _, f := range store.State().Folders() {
		p.folder, p.keys = f.ID, store.Keys(f.ID)
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	var ok bool
	if p.keys == nil {
		return nil, mesh.ErrNoKey
	} else if p.epoch, ok = p.keys.Current(); !ok {
		return nil, mesh.ErrNoKey
	}
	p.addrs = addrs
	if err := p.newHost(); err != nil {
		return nil, err
	}
	if err := p.run(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return &Thief{Peer: p}, nil
}

// Sends sends messages of the index protocol to the victim, who is asked for the end of the session.
func (t *Thief) sends(ctx context.Context, messages ...[]byte) error {
	l, err := t.talk(ctx)
	if err != nil {
		return err
	}
	return l.send(messages...)
}

// Replaces records one tombstone that replaces all of these records of others, and then another that supersedes that. Nobody without keys can tell that
// they are of one path each.
func (t *Thief) Replaces(ctx context.Context, records []shoal.Dot) error {
	t.journal = t.newJournal()
	for chunk := range slices.Chunk(records, 1000) {
		t.journal.addUnder(t.replacing(chunk), timed(entry("faulty", kindTombstone)))
	}
	return t.sends(ctx, t.journal.batch())
}

// replacing is the clear part of a record that replaces others.
func (t *Thief) replacing(records []shoal.Dot) message {
	var raw [][]byte
	for _, d := range records {
		raw = append(raw, binary.BigEndian.AppendUint64(d.Journal.Bytes(), uint64(d.Seq)))
	}
	slices.SortFunc(raw, bytes.Compare)
	return t.journal.clear().list(13, slices.CompactFunc(raw, bytes.Equal))
}

// Journal is the one that Replaces began.
func (t *Thief) Journal() shoal.JournalID { return t.journal.id }

// Rewrites tells another, shorter history of a journal of the stolen device.
func (t *Thief) Rewrites(ctx context.Context, journals ...shoal.JournalID) error {
	var all [][]byte
	for _, id := range journals {
		if id.Device != t.Device() {
			continue
		}
		j := t.filled(0)
		j.id = id
		j.add(j.folder("faulty"))
		all = append(all, j.batch(), frontier(t.folder, j.position()))
	}
	return t.sends(ctx, all...)
}

// Governs says statements of the roster that the stolen device may not say: that an owner and the victim are revoked, and that it is an owner itself.
func (t *Thief) Governs(ctx context.Context, owner shoal.DeviceID) error {
	var all [][]byte
	for _, dev := range []shoal.DeviceID{owner, t.Victim} {
		all = append(all, t.chain().say(sayRevoke, message(nil).bytes(1, dev[:])))
	}
	self := t.Device()
	all = append(all, t.chain().say(sayRole, message(nil).bytes(1, self[:]).uint(2, 1)))
	return t.sends(ctx, statementsOf(all...))
}

// ErrNothing says that a thief was given no block.
var ErrNothing = errors.New("it is given no block")

// Doubts fetches each of these blocks as often as there are other copies, reports that none opens, and returns how many copies it had. Without any it is
// ErrNothing.
func (t *Thief) Doubts(ctx context.Context, blocks []block.EpochRef) (copies int, err error) {
	l, err := t.blocks(ctx)
	if err != nil {
		return 0, err
	}
	number := uint64(0)
	for _, b := range blocks {
		for {
			number++
			if err := l.send(request(number, t.folder, b.ID[:], 0, b.Epoch)); err != nil {
				return copies, err
			}
			sealed, err := l.answered()
			if err != nil {
				return copies, fmt.Errorf("ask for block %s: %w", b.ID.Short(), err)
			}
			if sealed == nil {
				break
			}
			copies++
			sum := block.SealedHash(sealed)
			report := message(nil).bytes(1, t.folder[:]).bytes(2, b.ID[:]).bytes(3, b.Epoch[:]).bytes(4, sum[:])
			if err := l.send(message(nil).bytes(3, report)); err != nil {
				return copies, err
			}
		}
	}
	if copies == 0 {
		return 0, ErrNothing
	}
	return copies, nil
}

// answered reads the answer to a request; nil: there is no block.
func (l *line) answered() ([]byte, error) {
	for {
		m, err := l.read()
		if err != nil {
			return nil, err
		}
		a := field(m, 1)
		if a == nil { // it tells of blocks that it has now
			continue
		}
		if number(a, 2) != answerOK {
			return nil, nil
		}
		sealed := make([]byte, min(number(a, 3), block.MaxSealed))
		if _, err := io.ReadFull(l.in, sealed); err != nil {
			return nil, err
		}
		return sealed, nil
	}
}

// Listens begins a session and returns whether the victim talks of folders before ctx ends: that it does is an error for who was revoked.
func (t *Thief) Listens(ctx context.Context) error {
	l, err := t.open(ctx, indexexchange.Protocol)
	if err != nil {
		return err
	}
	genesis := mesh.Hash(t.mesh)
	if err := l.send(body(bodyRoster, message(nil).bytes(1, genesis[:]))); err != nil {
		return err
	}
	_, err = l.await(bodyFrontier)
	return err
}

// Pushes sends a journal without waiting for anything.
func (t *Thief) Pushes(ctx context.Context) error {
	l, err := t.open(ctx, indexexchange.Protocol)
	if err != nil {
		return err
	}
	genesis := mesh.Hash(t.mesh)
	j := t.filled(3)
	return l.send(body(bodyRoster, message(nil).bytes(1, genesis[:])), frontier(t.folder, j.position()), j.batch())
}

// Reserves returns when the device has a place at its victim, a relay, through which others would reach it.
func (t *Thief) Reserves(ctx context.Context) error {
	t.host.SetRelays([]shoal.DeviceID{t.Victim})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if slices.ContainsFunc(t.host.Addrs(), func(a string) bool { return strings.Contains(a, "/p2p-circuit") }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for a place at the relay: %w", ctx.Err())
		}
	}
}
