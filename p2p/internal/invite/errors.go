package invite

import "errors"

var (
	// ErrMalformed: a text is neither a ticket nor a code.
	ErrMalformed = errors.New("not a valid code or ticket")
	// ErrTooMany: too many invites are open.
	ErrTooMany = errors.New("too many open invites")
	// ErrRange: role, time or mesh of a new invite are out of range.
	ErrRange = errors.New("out of range")
)
