package packstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// The index database. It is derived from the packs, so its layout may change freely: another version is rebuilt.
//
//	meta:   "version" → 4 bytes
//	spaces: folder 16 ‖ epoch 32 → short number 4
//	blocks: short number 4 ‖ block ID 32 ‖ hash of the sealed bytes 32 → pack 4 ‖ offset 4 ‖ length 4
//	packs:  pack 4 → indexed up to 8 ‖ live bytes 8 ‖ bytes of deletions 8 ‖ retired 1
const (
	indexName    = "index.db"
	indexVersion = 1
	lockWait     = time.Second // another process that has the directory may be about to end
	blockKeySize = 4 + 32 + 32
)

var (
	bucketMeta   = []byte("meta")
	bucketSpaces = []byte("spaces")
	bucketBlocks = []byte("blocks")
	bucketPacks  = []byte("packs")
	keyVersion   = []byte("version")
)

// errDamagedIndex says that the index cannot be used and must be built again.
var errDamagedIndex = errors.New("index is damaged")

// space is what a short number stands for.
type space struct {
	folder shoal.FolderID
	epoch  shoal.EpochID
}

// located is one copy of a block: what tells it from others, and where it lies.
type located struct {
	sealed [32]byte
	place  packfile.Place
	length uint32 // of the sealed block
}

// size is what the copy's record takes in its pack.
func (l located) size() int64 { return packfile.RecordHeadSize + int64(l.length) }

// packState is what the index knows of a pack.
type packState struct {
	indexed   int64 // the records before this offset are in the index
	live      int64 // bytes of records of blocks that count
	deletions int64 // bytes of deletions of what lies in other packs
	retired   bool  // nothing in it counts: the file is to be removed
}

// index is the database. Its methods turn bbolt's panics on damaged pages into errDamagedIndex. Reads may run beside one write.
type index struct {
	db      *bbolt.DB
	damaged atomic.Bool // set once errDamagedIndex was returned
}

// openIndex opens or creates the index in dir. Errors: errDamagedIndex; ErrInUse.
func openIndex(dir string) (_ *index, err error) {
	x := new(index)
	defer x.guard(&err)
	db, err := bbolt.Open(filepath.Join(dir, indexName), 0o600, &bbolt.Options{
		Timeout:        lockWait,
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case err != nil && ofSystem(err):
		return nil, fmt.Errorf("open index: %w", err)
	case err != nil: // bbolt does not like the contents
		return nil, fmt.Errorf("%w: %w", errDamagedIndex, err)
	}
	x.db = db
	if err := x.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// ofSystem tells whether err came from the operating system, so that building the index again would not help.
func ofSystem(err error) bool {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return true
	}
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// removeIndex deletes the index of dir, if there is one.
func removeIndex(dir string) error {
	if err := os.Remove(filepath.Join(dir, indexName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// prepare makes the buckets of a new index and checks the version of an old one.
func (x *index) prepare() error {
	want := binary.BigEndian.AppendUint32(nil, indexVersion)
	return x.db.Update(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(bucketMeta); meta != nil {
			if !bytes.Equal(meta.Get(keyVersion), want) || tx.Bucket(bucketBlocks) == nil ||
				tx.Bucket(bucketSpaces) == nil || tx.Bucket(bucketPacks) == nil {
				return errDamagedIndex
			}
			return nil
		}
		for _, name := range [][]byte{bucketMeta, bucketSpaces, bucketBlocks, bucketPacks} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keyVersion, want)
	})
}

func (x *index) close() error { return x.db.Close() }

// guard turns a panic of bbolt into errDamagedIndex, remembers that error, and says ErrClosed in our words.
func (x *index) guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errDamagedIndex, p)
	}
	switch {
	case errors.Is(*err, errDamagedIndex):
		x.damaged.Store(true)
	case errors.Is(*err, bolterrors.ErrDatabaseNotOpen):
		*err = ErrClosed
	}
}

// load returns all spaces and packs.
func (x *index) load() (spaces map[space]uint32, packs map[uint32]packState, err error) {
	defer x.guard(&err)
	spaces, packs = make(map[space]uint32), make(map[uint32]packState)
	err = x.db.View(func(tx *bbolt.Tx) error {
		err := tx.Bucket(bucketSpaces).ForEach(func(k, v []byte) error {
			if len(k) != 48 || len(v) != 4 {
				return errDamagedIndex
			}
			spaces[space{shoal.FolderID(k[:16]), shoal.EpochID(k[16:])}] = binary.BigEndian.Uint32(v)
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(bucketPacks).ForEach(func(k, v []byte) error {
			if len(k) != 4 || len(v) != 25 {
				return errDamagedIndex
			}
			packs[binary.BigEndian.Uint32(k)] = packState{
				indexed:   int64(binary.BigEndian.Uint64(v)),
				live:      int64(binary.BigEndian.Uint64(v[8:])),
				deletions: int64(binary.BigEndian.Uint64(v[16:])),
				retired:   v[24] != 0,
			}
			return nil
		})
	})
	return spaces, packs, err
}

// find returns the copies of block id in the space with that number, lowest hash first; with sealed not zero at most that one.
func (x *index) find(number uint32, id block.ID, sealed [32]byte) (copies []located, err error) {
	defer x.guard(&err)
	prefix := append(binary.BigEndian.AppendUint32(make([]byte, 0, blockKeySize), number), id[:]...)
	err = x.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketBlocks)
		if sealed != ([32]byte{}) {
			if v := b.Get(append(prefix, sealed[:]...)); v != nil {
				l, err := decodeLocated(sealed[:], v)
				copies = append(copies, l)
				return err
			}
			return nil
		}
		c := b.Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			l, err := decodeLocated(k[len(prefix):], v)
			if err != nil {
				return err
			}
			copies = append(copies, l)
		}
		return nil
	})
	return copies, err
}

func decodeLocated(sealed, v []byte) (located, error) {
	if len(sealed) != 32 || len(v) != 12 {
		return located{}, errDamagedIndex
	}
	return located{
		sealed: [32]byte(sealed),
		place:  packfile.Place{Pack: binary.BigEndian.Uint32(v), Offset: binary.BigEndian.Uint32(v[4:])},
		length: binary.BigEndian.Uint32(v[8:]),
	}, nil
}

// change is one line of the index: where the copy lies. In a commit: from now on; nowhere if its place is zero.
type change struct {
	space uint32
	id    block.ID
	located
}

// commit writes changes and states of packs in one durable transaction. dropped packs are forgotten.
func (x *index) commit(spaces map[space]uint32, changes []change, packs map[uint32]packState, dropped []uint32) (err error) {
	defer x.guard(&err)
	type line struct{ key, value []byte }
	lines := make([]line, len(changes))
	for i, c := range changes {
		lines[i].key = blockKey(c.space, c.id, c.sealed)
		if c.place != (packfile.Place{}) {
			v := binary.BigEndian.AppendUint32(make([]byte, 0, 12), c.place.Pack)
			v = binary.BigEndian.AppendUint32(v, c.place.Offset)
			lines[i].value = binary.BigEndian.AppendUint32(v, c.length)
		}
	}
	// bbolt is several times faster when keys come in order (DESIGN §13).
	slices.SortFunc(lines, func(a, b line) int { return bytes.Compare(a.key, b.key) })
	return x.db.Update(func(tx *bbolt.Tx) error {
		for s, n := range spaces {
			key := append(append(make([]byte, 0, 48), s.folder[:]...), s.epoch[:]...)
			if err := tx.Bucket(bucketSpaces).Put(key, binary.BigEndian.AppendUint32(nil, n)); err != nil {
				return err
			}
		}
		blocks := tx.Bucket(bucketBlocks)
		for _, l := range lines {
			var err error
			if l.value == nil {
				err = blocks.Delete(l.key)
			} else {
				err = blocks.Put(l.key, l.value)
			}
			if err != nil {
				return err
			}
		}
		return commitPacks(tx.Bucket(bucketPacks), packs, dropped)
	})
}

func commitPacks(b *bbolt.Bucket, packs map[uint32]packState, dropped []uint32) error {
	for n, p := range packs {
		v := binary.BigEndian.AppendUint64(make([]byte, 0, 25), uint64(p.indexed))
		v = binary.BigEndian.AppendUint64(v, uint64(p.live))
		v = binary.BigEndian.AppendUint64(v, uint64(p.deletions))
		if p.retired {
			v = append(v, 1)
		} else {
			v = append(v, 0)
		}
		if err := b.Put(binary.BigEndian.AppendUint32(nil, n), v); err != nil {
			return err
		}
	}
	for _, n := range dropped {
		if err := b.Delete(binary.BigEndian.AppendUint32(nil, n)); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for every copy of every block, in the order of the keys, from one snapshot.
func (x *index) each(fn func(space uint32, id block.ID, l located) error) (err error) {
	defer x.guard(&err)
	return x.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketBlocks).ForEach(func(k, v []byte) error {
			if len(k) != blockKeySize {
				return errDamagedIndex
			}
			l, err := decodeLocated(k[36:], v)
			if err != nil {
				return err
			}
			return fn(binary.BigEndian.Uint32(k), block.ID(k[4:36]), l)
		})
	})
}

// page returns up to max copies whose keys come after one, in the order of the keys; nil is before all.
func (x *index) page(after []byte, max int) (lines []change, err error) {
	defer x.guard(&err)
	err = x.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketBlocks).Cursor()
		for k, v := c.Seek(after); k != nil && len(lines) < max; k, v = c.Next() {
			if len(k) != blockKeySize {
				return errDamagedIndex
			}
			if bytes.Equal(k, after) {
				continue
			}
			l, err := decodeLocated(k[36:], v)
			if err != nil {
				return err
			}
			lines = append(lines, change{space: binary.BigEndian.Uint32(k), id: block.ID(k[4:36]), located: l})
		}
		return nil
	})
	return lines, err
}

// blockKey is the key of a copy.
func blockKey(space uint32, id block.ID, sealed [32]byte) []byte {
	key := binary.BigEndian.AppendUint32(make([]byte, 0, blockKeySize), space)
	return append(append(key, id[:]...), sealed[:]...)
}

// check reports what bbolt finds wrong with its own pages.
func (x *index) check() (err error) {
	defer x.guard(&err)
	return x.db.View(func(tx *bbolt.Tx) error {
		var errs []error
		for e := range tx.Check() {
			if len(errs) < maxReports {
				errs = append(errs, fmt.Errorf("%w: %w", errDamagedIndex, e))
			}
		}
		return errors.Join(errs...)
	})
}
