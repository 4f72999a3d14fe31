// Package block turns files into blocks and blocks into what may leave a device.
//
// A block is at most 1 MiB of file content: the unit of transfer, deduplication and storage. The words:
//
//   - chunker: cuts a stream into blocks where its content says so, so that an insertion moves one or two cuts and no more
//   - block ID: the keyed hash of a plaintext block; tells nothing to who lacks the folder's key
//   - recipe: the ordered block IDs and sizes that make a file; its keyed hash is the content ID
//   - recipe part: a piece of a long recipe, stored as a block of its own
//   - reference tree: a sorted set of block references as a tree of nodes, for records that use many blocks
//   - sealed block: a block compressed, padded and encrypted; the only form in which content leaves a device
//   - store: keeps sealed blocks; package packstore on disk, package blocktest in memory
//
// The way of a file:
//
//	chunker.Next → Keys.ID → Recipe → Keys.ContentID
//	                  └→ Seal → Store.Put … Store.Get → Open → the same bytes, or an error
//
// Laws:
//
//   - Where a file is cut depends on its bytes and the folder's chunker key, on nothing else. A profile is frozen.
//   - Equal plaintext has an equal ID within a folder, for the folder's life; in another folder the ID is another.
//   - Open returns exactly the bytes that the ID names, or a *CorruptError: whoever sent them, whatever they sent.
//   - Nothing is encoded in two ways: every decoder refuses what its encoder would not have written.
//   - Sizes are checked before memory is taken.
//
// The package does not know files, records, peers or epochs' key management; it gets keys and bytes. It keeps per-key
// material (hash states, gear tables) in a small process-wide cache, since a folder uses the same keys a million times.
//
// Formats: docs/formats/block.md, docs/formats/recipe.md, docs/formats/pack.md.
package block

// The limits of chunking profile 1 (DESIGN §4). They are part of the format: all devices of a folder must cut alike.
const (
	MinSize    = 64 << 10  // no block but the last of a file is smaller
	TargetSize = 256 << 10 // what random data comes to on average, within a few per cent
	MaxSize    = 1 << 20   // no block is bigger
)
