package blockexchange

import (
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Limits bound what a Planner asks for. The zero value of a field means its default.
type Limits struct {
	InFlight int64         // bytes asked for and not yet delivered, over all peers; default 16 MiB, at least 2 blocks of block.MaxSize
	PerPeer  int64         // the same for one peer; default 8 MiB
	Requests int           // open requests per peer; default 1,024, which is also what a source accepts
	Stall    time.Duration // a peer that answers nothing for so long, with requests open, is dropped; default 30 s
	Ban      time.Duration // how long a peer that lied is left out; default 1 h
}

// What one peer may ask; who asks for more breaks the protocol.
const (
	maxOpen     = 1024 // requests that a source keeps open: a line of 200 Mbit/s with 100 ms of round trip has 600 blocks of 4 KiB under way
	maxRequests = 256  // requests in one message
)

func (l Limits) withDefaults() Limits {
	if l.InFlight == 0 {
		l.InFlight = 16 << 20
	}
	if l.PerPeer == 0 {
		l.PerPeer = 8 << 20
	}
	if l.Requests == 0 {
		l.Requests = maxOpen
	}
	if l.Stall == 0 {
		l.Stall = 30 * time.Second
	}
	if l.Ban == 0 {
		l.Ban = time.Hour
	}
	return l
}

// Validate refuses limits under which nothing could ever be fetched. It looks at the values after defaults.
func (l Limits) Validate() error {
	l = l.withDefaults()
	if l.InFlight < 2*block.MaxSize || l.PerPeer < block.MaxSize || l.Requests < 1 || l.Requests > maxOpen || l.Stall < 0 || l.Ban < 0 {
		return fmt.Errorf("block exchange limits %+v: %w", l, shoal.ErrInvalid)
	}
	return nil
}
