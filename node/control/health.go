package control

import "context"

// Health examines the device.
type Health interface {
	// Doctor runs every check and returns one Check for each, in a fixed order. An error means that it could not examine,
	// not that something is wrong.
	Doctor(ctx context.Context) ([]Check, error)
	// DeepCheck reads every file of every folder on this disk again and says what is not as it was recorded. It changes nothing. It calls
	// tell very often with how far it is.
	DeepCheck(ctx context.Context, tell func(DeepProgress)) (Deep, error)
}

// CheckState is how one check came out.
type CheckState string

// The outcomes of a check.
const (
	CheckOK   CheckState = "ok"
	CheckWarn CheckState = "warn" // works, but a person should do something
	CheckFail CheckState = "fail" // damage, or something does not work
)

// Check is one thing that was examined: keys, disk, database, network, watch limits, clock.
type Check struct {
	Name    string     `json:"name"` // one or two words
	State   CheckState `json:"state"`
	Message string     `json:"message"` // what was found
	Fix     string     `json:"fix"`     // what to do; empty when nothing
}
