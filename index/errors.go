package index

import (
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// Errors of opening a database. See also DamagedError.
var (
	ErrLocked  = errors.New("the database is in use by another process")
	ErrVersion = errors.New("the database was made by a newer version of Shoal")
	ErrClosed  = errors.New("the database is closed")
)

// Errors of writing to the own journal.
var (
	// ErrNoJournal: no journal was opened or continued in this run.
	ErrNoJournal = errors.New("no journal is open")

	// ErrForeignJournal: the journal grew by records that came from elsewhere, so this database does not hold its end.
	ErrForeignJournal = errors.New("the journal was written by another life of this device")
	// ErrManyLives: the journal was continued so often that a new one is to be begun.
	ErrManyLives = errors.New("the journal was continued too often")

	// ErrNoKey: this device has no key of the folder or of an epoch.
	ErrNoKey = errors.New("no key")

	// ErrReadOnly: a changing method was called in View.
	ErrReadOnly = errors.New("read-only transaction")
)

// Errors of accepting from others, by what the caller does differently.
var (
	// ErrForged: a signature, or what it covers, is wrong; another source may be right. Counts against the source.
	ErrForged = errors.New("forged")

	// ErrMalformed: bytes do not parse or break a limit. Counts against the source.
	ErrMalformed = errors.New("malformed")

	// ErrMismatch: records do not add up to their head; fetch again, from another source. Counts against the source.
	ErrMismatch = errors.New("does not match its head")

	// ErrGap: the batch begins after the own frontier, or ends before it: ask for the right piece.
	ErrGap = errors.New("does not join the frontier")

	// ErrVoid: the journal's device may not write, or the journal is cut below the head.
	ErrVoid = errors.New("void by the roster")

	// ErrOwnJournal: the batch is of the journal that this device is writing.
	ErrOwnJournal = errors.New("own open journal")

	// ErrTooFar: more live records than asked for at once; use Digests and Bucket.
	ErrTooFar = errors.New("too far behind for one batch")

	// ErrNotFound: no such journal, bucket or stage here.
	ErrNotFound = errors.New("not found")

	// ErrIncomplete: FinishStage was called while buckets are missing.
	ErrIncomplete = errors.New("buckets are missing")
)

// ForkError says that a device signed two different histories of one journal. Both heads are kept as evidence.
type ForkError struct {
	Journal      shoal.JournalID
	Ours, Theirs []byte // signed heads
}

func (e *ForkError) Error() string { return fmt.Sprintf("journal %s has two histories", e.Journal) }

// DamagedError says that the database cannot be used any more: it must be moved away and a new one begun.
type DamagedError struct {
	Path   string
	Reason error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("database %s is damaged: %v", e.Path, e.Reason)
}

// Unwrap returns the reason.
func (e *DamagedError) Unwrap() error { return e.Reason }
