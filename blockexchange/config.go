package blockexchange

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// Errors of this package.
var (
	// ErrAbsent is what a Source returns for a block that it does not have (any more).
	ErrAbsent = errors.New("block is absent")
	// ErrNoKey: Fetch was asked for a block of a folder or epoch whose key is not here.
	ErrNoKey = errors.New("no key to open the block")
	// ErrStopped: the Exchange does not run any more.
	ErrStopped = errors.New("block exchange has stopped")
	// errProtocol: the peer broke the protocol; its stream is of no use.
	errProtocol = errors.New("peer broke the block protocol")
)

// Host opens and answers streams; *p2p.Host is one.
type Host interface {
	// Open opens a stream to a device that is connected.
	Open(ctx context.Context, dev shoal.DeviceID, protocol string) (p2p.Stream, error)
	// Handle answers the streams of a protocol: fn is called in a goroutine of the host for each, and owns the stream.
	Handle(protocol string, fn func(ctx context.Context, from shoal.DeviceID, s p2p.Stream))
}

// Source looks up blocks for others. Its method is called from several goroutines at once.
type Source interface {
	// Block returns the plaintext of a block, which it has checked against w.Block: what a file held when it was recorded is
	// not what it holds now. The result may share buf, which has w.Size bytes and is the callee's until the caller is done with the
	// result; memory of the source's own is not changed by either side. Outcomes: the bytes; ErrAbsent (wrapped) when the block is
	// not here now; any other error is logged and answered as absent too.
	Block(ctx context.Context, w Want, buf []byte) ([]byte, error)
}

// NodeSource makes the reference nodes of long files, for keepers, which can't. It is called from several goroutines at once.
type NodeSource interface {
	// Node returns the encoded node whose hash is w.Block, of the tree of the record w.Hint.Record. Outcomes: as of Source.Block.
	Node(ctx context.Context, w Want) ([]byte, error)
}

// Keeper makes this the exchange of a device that keeps blocks sealed and has no keys. Its methods are called from several goroutines
// at once.
type Keeper interface {
	// Sealed returns a sealed copy of a block, or a reference node, as it is kept; the caller owns the slice. not tells the copies that
	// the asker does not want, since they did not open there. Outcomes: as of Source.Block.
	Sealed(ctx context.Context, w Want, not func(sealed [32]byte) bool) ([]byte, error)
	// Doubted says that a copy which was served to a device did not open there: a claim. It must not take long.
	Doubted(ctx context.Context, by shoal.DeviceID, f shoal.FolderID, b block.EpochRef, sealed [32]byte)
}

// Effects are told what a device finds out about the copies of others. They are called from several goroutines at once, with no lock held, and must
// not wait. Nil ones are skipped.
type Effects struct {
	// Proved: a vault got these very bytes from here, or they came from it and opened. (The first says nothing of whether it keeps them.)
	Proved func(vault shoal.DeviceID, w Want)
	// Spoiled: what a device gave for a block did not open. A vault was told, and gets a good copy from somebody.
	Spoiled func(dev shoal.DeviceID, w Want)
	// LeftOut: a device that is no vault was asked for nothing more, for now: what it gave did not open, again.
	LeftOut func(dev shoal.DeviceID)
}

func (e *Effects) withDefaults() {
	if e.Proved == nil {
		e.Proved = func(shoal.DeviceID, Want) {}
	}
	if e.Spoiled == nil {
		e.Spoiled = func(shoal.DeviceID, Want) {}
	}
	if e.LeftOut == nil {
		e.LeftOut = func(shoal.DeviceID) {}
	}
}

// Config says what an Exchange is made of. Host is needed, and Source and Keys or a Keeper; the rest has defaults.
type Config struct {
	Host   Host
	Source Source
	// Keys returns the keys of a folder, nil when there are none here. Called often: it must be cheap and safe for
	// concurrent use.
	Keys func(shoal.FolderID) *mesh.FolderKeys
	// Nodes makes reference nodes; nil: none are served.
	Nodes NodeSource
	// Keeper is set at a vault. Source, Keys, Nodes and Compression are not used then.
	Keeper Keeper
	// IsKeeper tells whether a peer is a vault, whose copies it can't check itself: one that does not open is reported to it and not
	// held against it. nil: nobody is. Same care as Keys.
	IsKeeper func(shoal.DeviceID) bool
	// Effects are told what copies turned out to be.
	Effects Effects
	// Allow tells whether a peer may have blocks of a folder; nil: whomever the host lets in may. Same care as Keys.
	Allow func(dev shoal.DeviceID, f shoal.FolderID) bool
	// Compression of what is sent. With Auto, what goes over the LAN is not compressed, since the link is faster, and what goes to a vault is Tight.
	Compression block.Compression
	Limits      Limits
	Clock       func() time.Time // default time.Now
	Rand        io.Reader        // default crypto/rand
	Log         *slog.Logger     // default: discard
}

// Validate refuses a Config that cannot work.
func (c Config) Validate() error {
	if c.Host == nil || c.Keeper == nil && (c.Source == nil || c.Keys == nil) {
		return fmt.Errorf("block exchange without host, source or keys: %w", shoal.ErrInvalid)
	}
	if err := c.Compression.Validate(); err != nil {
		return err
	}
	return c.Limits.Validate()
}

func (c Config) withDefaults() Config {
	if c.Allow == nil {
		c.Allow = func(shoal.DeviceID, shoal.FolderID) bool { return true }
	}
	if c.IsKeeper == nil {
		c.IsKeeper = func(shoal.DeviceID) bool { return false }
	}
	c.Effects.withDefaults()
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
