package indexexchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// Errors of this package.
var (
	// ErrProtocol: the peer broke the protocol; the session is of no use any more.
	ErrProtocol = errors.New("peer broke the index protocol")
	// ErrReplaced: a newer session with the same peer began.
	ErrReplaced = errors.New("session was replaced")
)

// Host opens and answers streams; *p2p.Host is one.
type Host interface {
	// Open opens a stream to a device that is connected.
	Open(ctx context.Context, dev shoal.DeviceID, protocol string) (p2p.Stream, error)
	// Handle answers the streams of a protocol: fn is called in a goroutine of the host for each, and owns the stream.
	Handle(protocol string, fn func(ctx context.Context, from shoal.DeviceID, s p2p.Stream))
}

// Folder is the index of one folder; *index.Folder is one.
type Folder interface {
	View(fn func(*index.Tx) error) error
	Update(ctx context.Context, fn func(*index.Tx) error) error
}

// Folders are the folders that are kept here. Methods are called from several goroutines at once.
type Folders interface {
	// IDs returns them in any order.
	IDs() []shoal.FolderID
	// Folder returns one; false: it is not kept here (any more).
	Folder(id shoal.FolderID) (Folder, bool)
}

// Roster is the mesh's roster, made safe for concurrent use. See mesh.Roster for Heads, Has and Since.
type Roster interface {
	Heads() []mesh.Hash
	Has(h mesh.Hash) bool
	Since(heads []mesh.Hash) [][]byte
	// Add takes in statements from a peer, in order, and returns when those that were new are durable. It reports the first
	// one that nobody honest would have sent (mesh.ErrForged, ErrMalformed, ErrTooLarge, ErrOtherMesh), after having
	// added the others; such an error counts against the peer. It must tell the Exchange by NotifyRoster when something was
	// new; it may call that before it returns.
	Add(ctx context.Context, raw [][]byte) error
}

// SmallBlocks lets small blocks travel beside the records that name them, which saves a round trip. Both methods are called from
// several goroutines at once.
type SmallBlocks interface {
	// ReadSmall returns the block, sealed under the epoch; false: it is not at hand.
	ReadSmall(ctx context.Context, f shoal.FolderID, rec shoal.Dot, id block.ID, size uint32, epoch shoal.EpochID) (sealed []byte, ok bool)
	// KeepSmall takes a block that came beside an accepted record. It is not checked yet, and may be dropped.
	KeepSmall(f shoal.FolderID, id block.ID, epoch shoal.EpochID, sealed []byte)
}

// Effects are told of what happened. They are called one at a time per peer, with no lock held; they must not wait long:
// the session waits with them. Nil ones are skipped.
type Effects struct {
	// Changed: accepted records (or cuts) changed what should be at these paths.
	Changed func(f shoal.FolderID, a index.Accepted)
	// Proof: a peer has shown its position in this device's own journal, the last one of that folder, while that journal is
	// not open. same means that it equals the own one, so that the journal may be continued. A peer that knows nothing of
	// the journal shows that too, with same false.
	Proof func(f shoal.FolderID, peer shoal.DeviceID, same bool)
	// Rival: a peer has another history of the journal that is being written here, which this signed head is of: this device is
	// a restored image, or a copy of it is at work. It should call index.Tx.LeaveHistory, and Refresh.
	Rival func(f shoal.FolderID, peer shoal.DeviceID, head []byte)
	// Status: a newer statement of a device about what it received and applied was stored.
	Status func(f shoal.FolderID, dev shoal.DeviceID)
	// Signed: this device's own status was made anew, or could not be.
	Signed func(f shoal.FolderID, err error)
	// Fork: a device has signed two histories of one journal. The evidence is kept in the index.
	Fork func(f shoal.FolderID, fork *index.ForkError)
	// LeftOut: a peer was wrong twice and is not asked any more for now.
	LeftOut func(peer shoal.DeviceID, reason error)
}

// Config says what a Core or an Exchange is made of.
type Config struct {
	Device  shoal.DeviceID // this device. Needed
	Host    Host           // needed by an Exchange
	Folders Folders        // needed
	Roster  Roster         // needed
	Small   SmallBlocks    // nil: small blocks do not travel beside records
	Effects Effects
	// Allow tells whether a peer may have, and send, anything but the roster: whoever was revoked may not, but must learn that it was,
	// and may know of a statement that changes it. When the answer changes, sessions with the peer must begin anew. Nil: everybody
	// may. Called often; must be quick and safe for concurrent use.
	Allow func(shoal.DeviceID) bool
	// Standing returns what this device has not applied, for its signed status. Nil: every path that needs work is owed.
	Standing func(f shoal.FolderID, tx *index.Tx) (index.Standing, error)
	Clock    func() time.Time // default time.Now
	Log      *slog.Logger     // default: discard
}

// Validate refuses a Config that cannot work.
func (c Config) Validate() error {
	if err := c.Device.Validate(); err != nil {
		return err
	}
	if c.Folders == nil || c.Roster == nil {
		return fmt.Errorf("index exchange without folders or roster: %w", shoal.ErrInvalid)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Standing == nil {
		c.Standing = owed
	}
	return c
}

// owed lists every path that needs work, if there are not too many.
func owed(_ shoal.FolderID, tx *index.Tx) (index.Standing, error) {
	paths, err := tx.Needs("", index.MaxExceptions+1)
	if err != nil || len(paths) > index.MaxExceptions {
		return index.Standing{}, err
	}
	list, size := make([]index.Exception, len(paths)), 0
	for i, p := range paths {
		list[i] = index.Exception{Path: p, Reason: index.ReasonOwed}
		size += len(p)
	}
	if size > maxStatusBytes/2 {
		return index.Standing{}, nil
	}
	return index.Standing{Exceptions: list, Complete: true}, nil
}
