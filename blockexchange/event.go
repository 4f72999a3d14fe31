package blockexchange

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// GroupID numbers the wants of one Fetch. Never used twice with one Planner.
type GroupID uint64

// Event is what happened; see the types below. They are the inputs of Planner.Step.
type Event interface{ event() }

// Wanted adds wants to a group, in the order in which they should come. A group ends with Cancelled, or by itself when
// everything in it was delivered. A key that the group has already is ignored.
type Wanted struct {
	Group GroupID
	Wants []Want
}

// Cancelled ends a group. Blocks that other groups want too go on.
type Cancelled struct{ Group GroupID }

// PeerUp: requests can be sent to the peer. A peer that was up already begins anew: what it was asked is asked again.
type PeerUp struct {
	Peer shoal.DeviceID
	Cost Cost
}

// PeerDown: the peer is gone, and with it every answer it owed.
type PeerDown struct{ Peer shoal.DeviceID }

// Got: the peer's answer arrived, opened, and is the block. The bytes are held until Delivered.
type Got struct {
	Peer shoal.DeviceID
	Key  Key
}

// Moving: a part of an answer has arrived, so the peer is slow, not stalled.
type Moving struct{ Peer shoal.DeviceID }

// Absent: the peer does not have the block now.
type Absent struct {
	Peer shoal.DeviceID
	Key  Key
}

// Ended: the peer will not answer this request, because it was cancelled.
type Ended struct {
	Peer shoal.DeviceID
	Key  Key
}

// Bad: the peer's answer was not the block.
type Bad struct {
	Peer shoal.DeviceID
	Key  Key
}

// Have: the peer now has blocks that it lacked.
type Have struct {
	Peer shoal.DeviceID
	Keys []Key
}

// Delivered: everybody who wanted the block has consumed it; its memory is free.
type Delivered struct{ Key Key }

// Tick: time went by. Due at the time that WakeAt named; more often does no harm.
type Tick struct{}

func (Wanted) event()    {}
func (Cancelled) event() {}
func (PeerUp) event()    {}
func (PeerDown) event()  {}
func (Got) event()       {}
func (Moving) event()    {}
func (Absent) event()    {}
func (Ended) event()     {}
func (Bad) event()       {}
func (Have) event()      {}
func (Delivered) event() {}
func (Tick) event()      {}

// Action is what is to be done; see the types below. They are the outputs of Planner.Step, to be carried out in order.
type Action interface{ action() }

// Request asks the peer for blocks. Each must come back as Got, Absent, Bad or Ended, or all of them as PeerDown.
type Request struct {
	Peer  shoal.DeviceID
	Wants []Want
}

// Cancel tells the peer that answers are not needed any more. Each must still come back as Got, Absent, Bad or Ended.
type Cancel struct {
	Peer shoal.DeviceID
	Keys []Key
}

// Deliver hands the block that was just got to the groups. When all have consumed it, Delivered must follow. A Got without
// a Deliver means that nobody wants the block any more: drop it.
type Deliver struct {
	Key    Key
	Groups []GroupID
}

// WakeAt asks for a Tick at a time. It replaces earlier ones; the zero time means that none is needed.
type WakeAt struct{ At time.Time }

// Drop gives up the stream to a peer. The Planner treats the peer as down from here until the next PeerUp.
type Drop struct {
	Peer   shoal.DeviceID
	Reason DropReason
}

// DropReason says why a peer was dropped.
type DropReason uint8

// The reasons.
const (
	Stalled DropReason = 1 // requests were open and nothing came for Limits.Stall: try again
	Lying   DropReason = 2 // what it sent did not open, twice: leave it out for Limits.Ban
)

// String returns the reason as a word.
func (r DropReason) String() string {
	switch r {
	case Stalled:
		return "stalled"
	case Lying:
		return "lying"
	}
	return "unknown"
}

func (Request) action() {}
func (Cancel) action()  {}
func (Deliver) action() {}
func (WakeAt) action()  {}
func (Drop) action()    {}
