package control

import (
	"context"
	"time"
)

// Events tells what happened and what happens.
type Events interface {
	// LastEvent returns the Seq of the newest event; 0 when there was none yet.
	LastEvent() uint64
	// WatchEvents calls emit for every kept event after since, oldest first, and then for each new one as it happens, until
	// ctx ends (it then returns nil) or emit returns an error (which it returns). emit is called by one goroutine at a time
	// and may block for long: that delays no one else. A watcher that falls behind by more than is kept misses the oldest
	// and sees a gap in Seq.
	WatchEvents(ctx context.Context, since uint64, emit func(Event) error) error
	// Log returns at most limit kept events, the newest ones, oldest first. With at it returns those about that path and
	// what is under it.
	Log(ctx context.Context, at *Location, limit int) ([]Event, error)
}

// EventKind says what happened. Kinds travel as text and are never renamed; more may come.
type EventKind string

// The kinds of events.
const (
	EventStarted      EventKind = "started"      // the daemon runs
	EventChanged      EventKind = "changed"      // a path was changed on this disk by its user
	EventApplied      EventKind = "applied"      // a change of another device was put on this disk
	EventConflict     EventKind = "conflict"     // a path has a new losing sibling
	EventProblem      EventKind = "problem"      // something is not as it should be
	EventSolved       EventKind = "solved"       // a problem is gone
	EventFolder       EventKind = "folder"       // a folder changed its state, or was added, joined, moved, removed
	EventConnected    EventKind = "connected"    // a device is there
	EventDisconnected EventKind = "disconnected" // a device is gone
	EventRequest      EventKind = "request"      // a guest asks to be admitted
	EventAdmitted     EventKind = "admitted"     // a device was admitted
	EventDenied       EventKind = "denied"       // a guest was sent away, or went
	EventRevoked      EventKind = "revoked"      // a device was put out of the mesh
	EventSeen         EventKind = "seen"         // a device that is not connected left word that it has something newer
)

// Event is one thing that happened.
type Event struct {
	// Seq rises from event to event, over restarts of the daemon too; numbers may be left out.
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Kind    EventKind `json:"kind"`
	Folder  string    `json:"folder,omitempty"` // name
	Path    Path      `json:"path,omitempty"`   // in the folder
	Device  string    `json:"device,omitempty"` // name of the device that did it, or that it is about
	Message string    `json:"message"`          // for a person
}

// How many events a log answers with.
const (
	DefaultLog = 1000
	maxLog     = 100_000
)
