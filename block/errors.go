package block

import (
	"errors"
	"fmt"
)

// Errors of a Store.
var (
	// ErrNotFound: the store has no such block.
	ErrNotFound = errors.New("block not found")
)

// Errors of callers: asking for what cannot be.
var (
	// ErrSize: a block to be sealed is empty or bigger than MaxSize.
	ErrSize = errors.New("block size out of range")
)

// Errors of decoders. What fails with one of these was damaged, cut off or made by somebody hostile; fetch it elsewhere.
var (
	// ErrMalformed: the bytes are not what the encoder writes (recipe, recipe part, reference node).
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a count or size is above its limit.
	ErrTooLarge = errors.New("too large")
)

// Reasons inside a *CorruptError, in the order in which they are looked for.
var (
	ErrTruncated = errors.New("sealed block too short")
	ErrOversized = errors.New("sealed block too long")
	ErrFormat    = errors.New("unknown format of sealed block") // damage, or made by a newer version
	ErrFlags     = errors.New("unknown flags of sealed block")
	ErrTag       = errors.New("authentication failed") // also: other key, other epoch, other block ID
	ErrPadding   = errors.New("wrong length or padding")
	ErrInflate   = errors.New("compressed content does not inflate to its size")
	ErrContent   = errors.New("content is not the block that was asked for")
)

// CorruptError says that bytes are not the block ID they were said to be. errors.Is finds the reason.
type CorruptError struct {
	Block  ID
	Reason error // one of the reasons above, or a store's own
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s is corrupt: %v", e.Block, e.Reason)
}

// Unwrap returns the reason.
func (e *CorruptError) Unwrap() error { return e.Reason }
