package mesh

import "github.com/shoalmesh/shoal"

// FolderKeys are the keys of one folder that one device can open. Immutable and safe for concurrent use.
type FolderKeys struct {
	Chunker [32]byte // for the folder's life
	BlockID [32]byte // for the folder's life

	epochs  map[shoal.EpochID]Epoch
	current shoal.EpochID
}

// Epoch is one generation of a folder's keys.
type Epoch struct {
	ID     shoal.EpochID
	Number uint64 // from 1

	Seal       [32]byte // blocks
	Record     [32]byte // sealed part of records
	Nonce      [32]byte // key of the hash that makes the nonces of records
	Rendezvous [32]byte // where devices find each other in the DHT
}

// Current returns the epoch to write under: the highest number (then the lowest ID) of those that this device can open and
// whose recipients are all still in the mesh. False when there is none, which means: nothing may be sealed now, because
// somebody who was revoked could read it. Roster.Tend makes a new epoch; until then a device can read, and must not write.
func (k *FolderKeys) Current() (Epoch, bool) { return k.Epoch(k.current) }

// Epoch returns the keys of one epoch. Epochs that were voided by a later revocation of their maker are included: others
// wrote under them in good faith.
func (k *FolderKeys) Epoch(id shoal.EpochID) (Epoch, bool) {
	e, ok := k.epochs[id]
	return e, ok
}
