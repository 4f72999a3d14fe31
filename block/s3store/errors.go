package s3store

import (
	"errors"
	"time"

	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
)

// Errors of Open and of all methods.
var (
	// ErrInUse: another process has the cache directory open.
	ErrInUse = errors.New("cache directory of the block store is in use by another process")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("block store is closed")
	// ErrPinned: the block was promised to be kept for longer.
	ErrPinned = errors.New("block is pinned")
	// ErrHeld: another process does this work now, or was doing it until a moment ago.
	ErrHeld = errors.New("lease is held by another process")
	// ErrDamaged: what lies in the bucket is not what was put there. It is also the reason inside a *block.CorruptError.
	ErrDamaged = errors.New("stored bytes have changed")
)

// Errors of the bucket.
var (
	// ErrNotFound: there is no such object. (A block that is not there is block.ErrNotFound.)
	ErrNotFound = bucket.ErrNotFound
	// ErrChanged: the condition of a write does not hold: another was there first.
	ErrChanged = bucket.ErrChanged
	// ErrSize: an object is longer than it may be.
	ErrSize = bucket.ErrSize
	// ErrCredentials: no credentials were found, or the server refuses those which were.
	ErrCredentials = bucket.ErrCredentials
	// ErrClock: the server refuses requests because the clock of this machine differs from its own.
	ErrClock = bucket.ErrClock
	// ErrNoBucket: the bucket does not exist; it is not created.
	ErrNoBucket = bucket.ErrNoBucket
	// ErrUnsupported: the server does not keep the conditions of writes, so that processes cannot share a bucket on it.
	ErrUnsupported = bucket.ErrUnsupported
	// ErrServer: the server did not answer, or only with errors, as often as it was asked. Later it may.
	ErrServer = bucket.ErrServer
	// ErrAnswer: what the server answered cannot be true.
	ErrAnswer = bucket.ErrAnswer
	// ErrURL: a URL that does not name a place in a bucket.
	ErrURL = bucket.ErrURL
)

// ClockSlack is by how much the clocks of the processes that serve one bucket may differ: a pin holds for so much longer than it says.
const ClockSlack = 5 * time.Minute

// maxReports bounds how many broken things one Check lists.
const maxReports = 100

// Target says where a store lies: a server, a bucket, a prefix in it.
type Target = bucket.Target

// ParseURL reads https://HOST[:PORT]/BUCKET[/PREFIX][?region=REGION&style=path|virtual]. Error: ErrURL.
func ParseURL(s string) (Target, error) { return bucket.ParseURL(s) }
