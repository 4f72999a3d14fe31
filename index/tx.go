package index

import (
	"encoding/binary"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index/kv"
	"github.com/shoalmesh/shoal/mesh"
)

// The buckets of a folder; docs/database.md has their layout.
const (
	bMeta      = iota // sums, own journal
	bJournals         // number → journal
	bEpochs           // number → epoch ID
	bRecords          // journal, seq → record
	bSlots            // journal, slot → seq of its live record, where the two differ
	bDigests          // journal, bucket → digest of what counts
	bStage            // journal, bucket → digest of what is here, while a transfer by buckets is under way
	bDeferred         // journal, seq: staged records that wait for the end of the transfer
	bMentions         // journal, path: rows whose answer depends on a journal without a known head
	bHolds            // journal, slot → path that is held for it
	bRows             // path → row
	bNeeds            // path → bytes of content that are lacking
	bConflicts        // path
	bFollows          // path
	bBlocks           // block, place → offset, size
	bRecipes          // content → number of users, long recipe
	bStatuses         // device → its newest status
	bProblems         // path, kind → problem
	bForks            // journal → two heads
	bRetries          // journal, seq: records that were set aside for want of a key
	bAcks             // vault → since when, its highest status that says applied
	bLapses           // vault → since when, the status that it did not keep to, the one that shows it
	bProofs           // vault, journal → how far all blocks are proved to be there
	bSpoiled          // vault, block → copy that did not open

	// Of a keeper only:
	bUses         // block, epoch → who demands it, whether it is here
	bLacking      // block, epoch: demanded by live records and not here
	bIdle         // time, block, epoch: here and not demanded
	bKept         // journal, seq, hash → since when, superseded record
	bExpiry       // time, key of a kept or replaced record
	bReplaced     // journal, seq → how many records of other journals replace it
	bNodes        // hash → reference node
	bLackingNodes // hash
	bWork         // hash: nodes whose children do not know yet
	bRoots        // root, journal, seq: records of long files
	bUploaders    // device → number; number → sums
	bCopies       // block, epoch, sealed hash → who gave it, who doubts it; device's number → how many it doubts
	bUntold       // number, hash: nodes that the others who keep the same store were not told of
	bucketCount
)

var bucketNames = [bucketCount]string{
	"meta", "journals", "epochs", "records", "slots", "digests", "stage", "deferred", "mentions", "holds", "rows", "needs",
	"conflicts", "follows", "blocks", "recipes", "statuses", "problems", "forks", "retries", "acks", "lapses", "proofs", "spoiled",
	"uses", "lacking", "idle", "kept", "expiry", "replaced", "nodes", "lackingnodes", "work", "roots", "uploaders", "copies",
	"untold",
}

// Tx is one transaction on a folder. Not safe for concurrent use, and not to be used after the function that got it.
// Methods that change something return ErrReadOnly in a View. An error of a changing method, except where it says otherwise,
// leaves the transaction as it was before.
type Tx struct {
	folder   *Folder
	config   *FolderConfig
	writable bool

	store   kv.Tx
	buckets [bucketCount]kv.Bucket // fetched as they are needed

	// Read when first needed, and dropped when a nested change fails.
	journals *journalTable
	epochs   *epochTable
	sums     *sums
	kept     *keepSums

	keys    *mesh.FolderKeys // nil until asked for, and when there are none
	names   block.Keys       // the folder's keys that name blocks; valid when keys is not nil
	sealers map[shoal.EpochID]*sealer

	writing uint32   // own journal that may be written, by number; 0: none
	after   []func() // run after the commit
}

func (f *Folder) newTx(store kv.Tx, writable bool) *Tx {
	return &Tx{folder: f, config: f.config.Load(), writable: writable, store: store, writing: f.writing.Load()}
}

// end makes later use of tx fail at once.
func (tx *Tx) end() { tx.store, tx.buckets = nil, [bucketCount]kv.Bucket{} }

func (tx *Tx) bucket(n int) kv.Bucket {
	if tx.buckets[n] == nil {
		tx.buckets[n] = tx.store.Bucket(tx.folder.names[n])
	}
	return tx.buckets[n]
}

// change runs fn so that an error leaves nothing of it.
func (tx *Tx) change(fn func() error) error {
	if !tx.writable {
		return ErrReadOnly
	}
	if err := tx.flush(); err != nil {
		return err
	}
	outer, buckets, writing, after := tx.store, tx.buckets, tx.writing, len(tx.after)
	err := outer.Nested(func(inner kv.Tx) error {
		tx.store, tx.buckets = inner, [bucketCount]kv.Bucket{}
		if err := fn(); err != nil {
			return err
		}
		return tx.flush()
	})
	tx.store, tx.buckets = outer, buckets
	if err != nil {
		tx.journals, tx.epochs, tx.sums, tx.kept = nil, nil, nil, nil
		tx.writing, tx.after = writing, tx.after[:after]
	}
	return err
}

// flush writes what the transaction keeps in memory.
func (tx *Tx) flush() error {
	if tx.sums != nil && tx.sums.changed {
		tx.bucket(bMeta).Put([]byte(metaSums), tx.sums.encode())
		tx.sums.changed = false
	}
	if tx.kept != nil && tx.kept.changed {
		tx.bucket(bMeta).Put([]byte(metaKeeper), tx.kept.encode())
		tx.kept.changed = false
	}
	return nil
}

// requireKeys fetches the folder's keys. Errors: ErrNoKey.
func (tx *Tx) requireKeys() error {
	if tx.keys != nil {
		return nil
	}
	keys := tx.config.Keys()
	if keys == nil {
		return fmt.Errorf("folder %s: %w", tx.folder.id, ErrNoKey)
	}
	tx.keys = keys
	tx.names = block.Keys{Chunker: keys.Chunker, BlockID: keys.BlockID}
	tx.sealers = make(map[shoal.EpochID]*sealer)
	return nil
}

// sealer returns what seals under an epoch; nil when this device has no key of it.
func (tx *Tx) sealer(epoch shoal.EpochID) *sealer {
	if s := tx.sealers[epoch]; s != nil {
		return s
	}
	e, ok := tx.keys.Epoch(epoch)
	if !ok {
		return nil
	}
	s := newSealer(&e)
	tx.sealers[epoch] = s
	return s
}

func (tx *Tx) now() int64 { return tx.folder.db.options.Clock().UnixNano() }

// damaged says that a value of the database makes no sense.
func (tx *Tx) damaged(what string, key []byte, err error) error {
	return &DamagedError{Path: tx.folder.db.name, Reason: fmt.Errorf("%s %x: %w", what, key, err)}
}

// epochTable gives epochs short numbers.
type epochTable struct {
	ids     []shoal.EpochID // by number - 1
	numbers map[shoal.EpochID]uint32
}

func (tx *Tx) epochTable() (*epochTable, error) {
	if tx.epochs != nil {
		return tx.epochs, nil
	}
	t := &epochTable{numbers: make(map[shoal.EpochID]uint32)}
	c := tx.bucket(bEpochs).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		if len(v) != 32 || keyJournal(k) != uint32(len(t.ids)+1) {
			return nil, tx.damaged("epoch", k, errShort)
		}
		t.ids = append(t.ids, shoal.EpochID(v))
		t.numbers[shoal.EpochID(v)] = uint32(len(t.ids))
	}
	tx.epochs = t
	return t, nil
}

// epochNumber returns the short number of an epoch, given to it at the first time.
func (tx *Tx) epochNumber(id shoal.EpochID) (uint32, error) {
	t, err := tx.epochTable()
	if err != nil {
		return 0, err
	}
	n, ok := t.numbers[id]
	if !ok {
		t.ids = append(t.ids, id)
		n = uint32(len(t.ids))
		t.numbers[id] = n
		tx.bucket(bEpochs).Put(binary.BigEndian.AppendUint32(nil, n), id[:])
	}
	return n, nil
}

func (tx *Tx) epochID(n uint32) (shoal.EpochID, error) {
	t, err := tx.epochTable()
	if err != nil {
		return shoal.EpochID{}, err
	}
	if n == 0 || int(n) > len(t.ids) {
		return shoal.EpochID{}, tx.damaged("epoch", journalKey(n), errShort)
	}
	return t.ids[n-1], nil
}

const metaSums = "sums"

// sums are what the rows add up to.
type sums struct {
	changed bool

	files, bytes       int64 // regular files in bases
	needs, needBytes   int64
	conflicts, follows int64
	followable         int64 // rows with a tombstone that says where its content went
}

func (tx *Tx) loadSums() (*sums, error) {
	if tx.sums != nil {
		return tx.sums, nil
	}
	s := new(sums)
	if v := tx.bucket(bMeta).Get([]byte(metaSums)); v != nil {
		d := decoder{data: v}
		for _, n := range s.all() {
			*n = d.varint()
		}
		if err := d.end(); err != nil {
			return nil, tx.damaged("sums", nil, err)
		}
	}
	tx.sums = s
	return s, nil
}

func (s *sums) all() []*int64 {
	return []*int64{&s.files, &s.bytes, &s.needs, &s.needBytes, &s.conflicts, &s.follows, &s.followable}
}

func (s *sums) encode() []byte {
	var b []byte
	for _, n := range s.all() {
		b = binary.AppendVarint(b, *n)
	}
	return b
}
