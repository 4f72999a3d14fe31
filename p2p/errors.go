package p2p

import (
	"errors"

	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
)

// Errors of streams and connections.
var (
	// ErrClosed: the host is closed, or does not run yet.
	ErrClosed = errors.New("network host is not running")
	// ErrNotConnected: there is no link to that device now.
	ErrNotConnected = errors.New("device is not connected")
	// ErrFrameTooLarge: a frame announces more bytes than the reader allows. The stream is of no use afterwards.
	ErrFrameTooLarge = errors.New("frame is larger than allowed")
	// ErrMalformedFrame: the length of a frame is not a canonical varint. The stream is of no use afterwards.
	ErrMalformedFrame = errors.New("malformed frame")
	// ErrMalformed: a message, address or address record breaks its format.
	ErrMalformed = address.ErrMalformed
	// ErrForged: a signature does not fit.
	ErrForged = address.ErrForged
)

// Errors of Join and NewInvite. Those up to ErrDenied are answers of the inviter.
var (
	// ErrWrongCode: the words of the code are wrong. The code is burnt now: ask for a new one.
	ErrWrongCode = errors.New("the code is wrong, and no longer valid")
	// ErrExpired: the invite's time is over, or the inviter does not know it (any more).
	ErrExpired = errors.New("the invite has expired")
	// ErrUsed: the invite has admitted a device already, was cancelled, or its code was burnt by a wrong guess.
	ErrUsed = errors.New("the invite was used already")
	// ErrDenied: a person at the inviter said no. Admitters return it, and Join reports it.
	ErrDenied = errors.New("the request was denied")
	// ErrNotAdmitted: the inviter tried to admit this device and could not; trying again may help.
	ErrNotAdmitted = errors.New("the inviter could not admit this device")
	// ErrUnreachable: no inviter was found, or none of its addresses answers.
	ErrUnreachable = errors.New("the inviter cannot be reached")
	// ErrMalformedTicket: the text is neither a ticket nor a code: mistyped or cut off.
	ErrMalformedTicket = invite.ErrMalformed
	// ErrTooManyInvites: too many invites are open at once.
	ErrTooManyInvites = invite.ErrTooMany
	// ErrRange: role or time of a new invite are out of range, or no mesh was set.
	ErrRange = invite.ErrRange
)
