package faulty

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
)

// Vault is a hostile vault: it says what it is told to say. Its methods belong to one goroutine, but Refuse, which may run beside them.
type Vault struct {
	*Peer
	line *line // of the present session

	// OldRoster: it shows the roster of a mesh in which nobody was admitted yet; else the one that its victim shows.
	OldRoster bool
}

// JoinAsVault has a hostile vault admitted with a ticket for vaults. Its ID is below those of its victims.
func JoinAsVault(ctx context.Context, ticket, name string, below ...shoal.DeviceID) (*Vault, error) {
	p, err := enter(ctx, ticket, name, func(p *Peer, raw []byte) error {
		var w struct {
			Statements [][]byte `json:"statements"`
		}
		if err := json.Unmarshal(raw, &w); err != nil {
			return err
		}
		p.roster = mesh.NewRoster()
		for _, st := range w.Statements {
			if _, err := p.roster.Add(st); err != nil {
				return err
			}
		}
		return nil
	}, below)
	if err != nil {
		return nil, err
	}
	return &Vault{Peer: p}, nil
}

// FaceOf is the vault once more, connected with another victim.
func (v *Vault) FaceOf(ctx context.Context, victim shoal.DeviceID, addrs []string) (*Vault, error) {
	p, err := v.Face(ctx, victim, addrs)
	if err != nil {
		return nil, err
	}
	return &Vault{Peer: p}, nil
}

// Position is how far somebody has a journal. The zero value is none.
type Position struct {
	Journal shoal.JournalID
	Seq     uint64
	raw     []byte // with its head
}

// Learn begins a session and returns how far the victim's journals go.
func (v *Vault) Learn(ctx context.Context) ([]Position, error) {
	l, err := v.open(ctx, indexexchange.Protocol)
	if err != nil {
		return nil, err
	}
	roster, err := l.await(bodyRoster)
	if err != nil {
		return nil, err
	}
	heads := fields(roster, 1)
	if v.OldRoster {
		heads = [][]byte{v.mesh[:]}
	}
	if err := l.send(body(bodyRoster, message(nil).list(1, heads))); err != nil {
		return nil, err
	}
	m, err := l.await(bodyFrontier)
	if err != nil {
		return nil, err
	}
	v.line = l
	v.folder = shoal.FolderID(field(m, 1))
	var out []Position
	for _, raw := range fields(m, 2) {
		j, err := shoal.JournalIDFromBytes(field(raw, 1))
		if err != nil {
			return nil, err
		}
		out = append(out, Position{Journal: j, Seq: number(raw, 2), raw: raw})
	}
	return out, nil
}

// Shows tells the victim in the session that the vault is so far, and no further.
func (v *Vault) Shows(list []Position) error {
	var raw [][]byte
	for _, p := range list {
		raw = append(raw, p.raw)
	}
	return v.line.send(frontier(v.folder, raw...))
}

// Acknowledges signs that all blocks of everything up to there are durable, as its statement of that number.
func (v *Vault) Acknowledges(number uint64, list []Position) error {
	dev := v.Device()
	m := message(nil).uint(1, 1).bytes(2, v.mesh[:]).bytes(3, v.folder[:]).bytes(4, dev[:]).uint(5, 1).uint(6, number)
	for _, n := range []protowire.Number{7, 8} {
		for _, p := range list {
			m = m.bytes(n, message(nil).bytes(1, p.Journal.Bytes()).uint(2, p.Seq))
		}
	}
	return v.line.send(body(bodyStatuses, message(nil).bytes(1, v.folder[:]).bytes(2, v.signed("status", m.uint(11, 1)))))
}

// Refuse answers every request of the victim for a block until ctx ends and all is closed: with give, which several goroutines call, or with "absent"
// where that is nil or gives nil.
func (p *Peer) Refuse(ctx context.Context, give func() []byte) {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-p.asked:
			serving.Go(func() {
				l := &line{Stream: s, in: bufio.NewReader(s)}
				for l.refuse(give) == nil {
				}
			})
		}
	}
}

// refuse answers what one message asks for.
func (l *line) refuse(give func() []byte) error {
	m, err := l.read()
	for _, ask := range fields(m, 1) {
		var data []byte
		if give != nil {
			data = give()
		}
		if err == nil && data == nil {
			err = l.send(answer(number(ask, 1), answerAbsent, 0))
		} else if err == nil {
			err = l.block(number(ask, 1), data)
		}
	}
	return err
}

// NameOf is the ID of a block with this content.
func (p *Peer) NameOf(content []byte) block.ID {
	keys := &block.Keys{Chunker: p.keys.Chunker, BlockID: p.keys.BlockID}
	return keys.ID(content)
}

// Records a file of one block, whatever that is, and keeps the session open.
func (p *Peer) Records(ctx context.Context, path string, size uint32, id block.ID) error {
	l, err := p.talk(ctx)
	if err != nil {
		return fmt.Errorf("record a file: %w", err)
	}
	j := p.newJournal()
	j.add(j.file(path, recipe(size, id)), id)
	return l.send(j.batch())
}
