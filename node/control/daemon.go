package control

import (
	"context"
	"time"
)

// Daemon is the device as a whole.
type Daemon interface {
	// Status tells how everything stands, from one moment as far as that is cheap. It does not wait for any work.
	Status(ctx context.Context) (Status, error)
	// Stop asks the device to stop and returns at once, before it has stopped.
	Stop(ctx context.Context) error
	// Wait returns when what the spec asks for is so, with nothing owed. When spec.Timeout passes first it returns, without
	// an error, what is owed by whom: at least one item.
	Wait(ctx context.Context, spec WaitSpec) ([]Owed, error)
}

// AllPeers asks Wait for all connected devices, and for at least one if the mesh has another full device or vault.
const AllPeers = -1

// WaitSpec says what to wait for: every change made on this disk before the call is recorded, this device has everything it
// should have, and Peers others report the same frontier applied (a vault: durable).
type WaitSpec struct {
	Timeout time.Duration // more than 0
	Peers   int           // how many other devices; AllPeers; 0 asks for none
}

// Validate refuses what no wait is, as CodeUsage.
func (s WaitSpec) Validate() error {
	switch {
	case s.Timeout <= 0 || s.Timeout > maxWait:
		return Errorf(CodeUsage, "a wait lasts more than 0s and at most %s", maxWait)
	case s.Peers < AllPeers:
		return Errorf(CodeUsage, "a number of devices is not negative")
	}
	return nil
}

// Owed is one thing that a wait that timed out still lacked.
type Owed struct {
	Device    string `json:"device"` // name of who owes it; this device's own name when it is the one behind; empty when too few devices are there
	Folder    string `json:"folder"` // name; empty when it concerns no folder
	NeedFiles int64  `json:"need_files"`
	NeedBytes int64  `json:"need_bytes"`
	Message   string `json:"message"` // for a person, such as "has not reported yet"
}

// Waited is the answer to a wait.
type Waited struct {
	Done bool   `json:"done"`
	Owed []Owed `json:"owed"`
}

// waitRequest is the body of POST /v1/wait.
type waitRequest struct {
	Timeout duration `json:"timeout"`
	Peers   *int     `json:"peers"` // absent: AllPeers
}

// How long a wait may last.
const (
	DefaultWait = 60 * time.Second
	maxWait     = 30 * 24 * time.Hour
)

func (r *waitRequest) Validate() error {
	if r.Timeout == 0 {
		r.Timeout = duration(DefaultWait)
	}
	if r.Peers != nil && *r.Peers < 0 {
		return Errorf(CodeUsage, "a number of devices is not negative")
	}
	return r.spec().Validate()
}

func (r *waitRequest) spec() WaitSpec {
	spec := WaitSpec{Timeout: time.Duration(r.Timeout), Peers: AllPeers}
	if r.Peers != nil {
		spec.Peers = *r.Peers
	}
	return spec
}
