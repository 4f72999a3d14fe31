package blockexchange

import (
	"context"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// A keeper (a vault) can't open blocks. It stores what it gets, and serves it again. So a copy that does not open may be the fault of
// whoever gave it to the keeper, or of the keeper: the fetcher reports it and asks again, the keeper serves another copy if it has one, and
// gets one from somebody else if not.

// maxBadCopies is how many copies of one block a fetcher tries at one keeper.
const maxBadCopies = 4

// maxRefused is how many copies that did not open a keeper remembers per stream; the oldest are forgotten.
const maxRefused = 1024

// report says that a copy did not open.
type report struct {
	folder shoal.FolderID
	block  block.EpochRef
	sealed [32]byte
}

// refused remembers the last maxRefused copies that did not open at a peer.
type refused struct {
	mu    sync.Mutex
	set   map[[32]byte]bool // guarded by mu
	order [][32]byte        // guarded by mu
}

func (r *refused) add(sealed [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set[sealed] {
		return
	}
	if r.set == nil {
		r.set = make(map[[32]byte]bool)
	}
	r.set[sealed] = true
	if r.order = append(r.order, sealed); len(r.order) > maxRefused {
		delete(r.set, r.order[0])
		r.order = r.order[1:]
	}
}

func (s *server) refuses(sealed [32]byte) bool {
	s.refused.mu.Lock()
	defer s.refused.mu.Unlock()
	return s.refused.set[sealed]
}

// reported takes in what did not open at the peer.
func (s *server) reported(ctx context.Context, reports []report) {
	cfg := &s.x.cfg
	for _, r := range reports {
		if cfg.Keeper == nil || !cfg.Allow(s.peer, r.folder) || s.refuses(r.sealed) {
			continue
		}
		s.refused.add(r.sealed)
		cfg.Keeper.Doubted(ctx, s.peer, r.folder, r.block, r.sealed)
	}
}

// doesNotOpen takes in that a peer sent what does not open.
func (x *Exchange) doesNotOpen(dev shoal.DeviceID, w Want, sealed []byte) {
	if !x.cfg.IsKeeper(dev) {
		x.step(Bad{Peer: dev, Key: w.Key()})
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.links[dev]
	if l == nil || l.conn == nil {
		return
	}
	c := l.conn
	if c.bad[w.Key()]++; c.bad[w.Key()] > maxBadCopies {
		delete(c.bad, w.Key())
		x.stepLocked(Absent{Peer: dev, Key: w.Key()})
		return
	}
	if len(c.bad) > maxRefused {
		clear(c.bad)
	}
	if len(c.outbox.reports) < maxRefused {
		c.outbox.reports = append(c.outbox.reports, report{folder: w.Folder, block: block.EpochRef{ID: w.Block, Epoch: w.Epoch}, sealed: block.SealedHash(sealed)})
		c.poke()
	}
	x.stepLocked(Ended{Peer: dev, Key: w.Key()})
}

// keep takes in an answer without opening it.
func (x *Exchange) keep(dev shoal.DeviceID, w Want, sealed []byte) {
	if w.Node {
		if _, err := block.DecodeRefNode(sealed); err != nil || blake3.Sum256(sealed) != [32]byte(w.Block) {
			x.cfg.Log.Warn("reference node is another one", "device", dev, "node", w.Block.Short(), "err", err)
			x.step(Bad{Peer: dev, Key: w.Key()})
			return
		}
	} else if len(sealed) < block.MinSealed {
		x.step(Bad{Peer: dev, Key: w.Key()})
		return
	}
	x.arrived(dev, w.Key(), append(plainBuffers.get(min(uint32(len(sealed)), block.MaxSize)), sealed...))
}
