package block

import (
	"context"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// Key names one sealed copy of a block in a Store. It compares with == and works as a map key.
type Key struct {
	Folder shoal.FolderID
	Epoch  shoal.EpochID // the epoch whose seal key sealed it
	ID     ID
	Sealed [32]byte // SealedHash of the copy; zero means "any copy" where a method says so
}

// SealedHash returns the plain BLAKE3 of a sealed block: what tells two copies of one block apart, since every sealing has
// a nonce of its own. Anybody can compute it.
func SealedHash(sealed []byte) [32]byte { return blake3.Sum256(sealed) }

// Store keeps sealed blocks. It never opens them. All methods are safe for concurrent use. Package blocktest checks an
// implementation against this contract.
type Store interface {
	// Put keeps sealed under k. k.Sealed must be SealedHash(sealed), or zero, which stands for it; anything else is an
	// error, as is a length of 0 or above MaxSealed. The store does not hold on to the slice. Putting what is there already changes nothing.
	// After Put returns, Get finds the block; it survives a crash only after a later Sync.
	Put(ctx context.Context, k Key, sealed []byte) error

	// Get returns the copy k names, or, with k.Sealed zero, any copy of (Folder, Epoch, ID); the caller owns the slice.
	// Outcomes: the bytes that were put; ErrNotFound; *CorruptError when the store's own medium damaged the copy.
	Get(ctx context.Context, k Key) ([]byte, error)

	// Has tells whether Get would look at a copy; it does not read it. k.Sealed may be zero.
	Has(ctx context.Context, k Key) (bool, error)

	// Delete removes the copy k names, with k.Sealed zero every copy of (Folder, Epoch, ID). What is not there is no
	// error. A deletion that was not followed by Sync may be undone by a crash.
	Delete(ctx context.Context, k Key) error

	// Sync makes everything that was put or deleted before it durable.
	Sync(ctx context.Context) error

	// Check reads everything and reports every broken invariant, joined; nil means the store is sound.
	Check(ctx context.Context) error
}
