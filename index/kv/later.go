package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/tidwall/btree"
	"go.etcd.io/bbolt"
)

// Keys that come in no order cost a page each: a commit of a thousand of them rewrites a thousand pages of a big bucket. So the changes of
// such buckets (BoltOptions.Later) are put in place later. Until then they are in memory, and in a log beside the bucket, whose keys do come
// in order. When they are many, each commit puts a stretch of neighbouring ones in place: few pages for many keys. A round of stretches goes
// once through all keys; what was logged before it began has then been put in place, and leaves the log.
//
// Laws:
//
//   - bucket + log, read in order, is what the bucket holds: every change that is not in place is in the log.
//   - A change in the log may be in place already. To read it again does no harm, since all later changes of its key are in the log too: the log
//     is cut at its beginning only.
const logSuffix = ".log"

// laterLimits say when changes are put in place.
type laterLimits struct {
	changes int // in memory before some are put in place; about 100 bytes each. A round is pressed on, too, when twice as many are in the log
	stretch int // the fewest that are put in place at once; more when a commit adds more than half of that
	cut     int // entries that leave the log in one commit
}

var defaultLimits = laterLimits{changes: 1 << 16, stretch: 256, cut: 1024}

// laterTable is what is to be put in place as of one commit. It is not changed after it was published.
type laterTable struct {
	tx      int // bbolt's number of the commit
	buckets map[string]*laterBucket
}

// laterVersions are the table of the newest commit, which may not have happened yet, and the one before. A reader takes the newest one that is
// not newer than what it reads.
type laterVersions struct{ newest, before *laterTable }

func (v *laterVersions) at(tx int) *laterTable {
	for _, t := range []*laterTable{v.newest, v.before} {
		if t != nil && t.tx <= tx {
			return t
		}
	}
	return nil
}

// laterBucket is the changes of one bucket that are not in place; nil: deleted. Once published it is only read and cloned.
type laterBucket struct {
	mu      sync.Mutex // held while changes is copied: copying marks the original
	changes btree.Map[string, []byte]

	first, last uint64 // numbers of the log's entries; first above last: there are none
	done        uint64 // entries up to here are in place
	logged      int    // changes in the log

	round uint64 // entries up to here are in place when the round that is under way comes to its end
	at    string // where it goes on
}

func (l *laterBucket) clone() *laterBucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &laterBucket{
		changes: *l.changes.Copy(), first: l.first, last: l.last, done: l.done, logged: l.logged, round: l.round, at: l.at,
	}
}

// above returns a reader of the bucket: below, with the changes.
func (l *laterBucket) above(below reader) reader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &overlayBucket{below: below, changes: l.changes}
}

// laterWork is what one commit does to a laterBucket.
type laterWork struct {
	*laterBucket
	added int
	entry []byte // for the log
}

// change notes one change. What is deleted and is not in place yet was never there.
func (w *laterWork) change(inPlace *bbolt.Bucket, k string, v []byte) {
	w.added++
	w.entry = appendChange(w.entry, k, v)
	w.apply(inPlace, k, v)
}

func (l *laterBucket) apply(inPlace *bbolt.Bucket, k string, v []byte) {
	if v == nil && (inPlace == nil || inPlace.Get([]byte(k)) == nil) {
		l.changes.Delete(k)
		return
	}
	l.changes.Set(k, v)
}

// An entry of the log: the number of its changes, then each: length of the key, key, length of the value + 1 (0: deleted), value.
func appendChange(b []byte, k string, v []byte) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
	if v == nil {
		return append(b, 0)
	}
	return append(binary.AppendUvarint(b, uint64(len(v))+1), v...)
}

var errLog = errors.New("log of a bucket makes no sense")

// readEntry calls fn for every change of an entry. The slices are fn's to keep.
func readEntry(b []byte, fn func(k string, v []byte)) (count int, err error) {
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			err = errLog
			return 0
		}
		b = b[size:]
		return n
	}
	take := func(n uint64) []byte {
		if n > uint64(len(b)) {
			err = errLog
			return nil
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	want := number()
	for err == nil && len(b) > 0 {
		k := string(take(number()))
		var v []byte
		if n := number(); n > 0 {
			v = append([]byte{}, take(n-1)...)
		}
		if err == nil && k == "" {
			err = errLog
		}
		if err == nil {
			count++
			fn(k, v)
		}
	}
	if err == nil && uint64(count) != want {
		err = errLog
	}
	return count, err
}

func logKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// loadLater reads the logs of all buckets.
func loadLater(tx *bbolt.Tx) (*laterTable, error) {
	t := &laterTable{tx: tx.ID(), buckets: map[string]*laterBucket{}}
	err := tx.ForEach(func(name []byte, log *bbolt.Bucket) error {
		of, ok := strings.CutSuffix(string(name), logSuffix)
		if !ok {
			return nil
		}
		l := &laterBucket{first: 1}
		t.buckets[of] = l
		inPlace := tx.Bucket([]byte(of))
		return log.ForEach(func(k, v []byte) error {
			if len(k) != 8 || binary.BigEndian.Uint64(k) <= l.last {
				return errLog
			}
			if l.last == 0 {
				l.first = binary.BigEndian.Uint64(k)
				l.done = l.first - 1
			}
			l.last = binary.BigEndian.Uint64(k)
			n, err := readEntry(v, func(k string, v []byte) { l.apply(inPlace, k, v) })
			l.logged += n
			l.round = l.last
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return t, nil
}

// laterOf returns what the batch does to a bucket whose changes come later.
func (b *boltBatch) laterOf(name string) *laterWork {
	w := b.later[name]
	if w == nil {
		l := &laterBucket{first: 1}
		if before := b.table.buckets[name]; before != nil {
			l = before.clone()
		}
		w = &laterWork{laterBucket: l}
		if b.later == nil {
			b.later = map[string]*laterWork{}
		}
		b.later[name] = w
	}
	return w
}

func (b *boltBatch) flushLater(name string, ob *overlayBucket) error {
	if ob.dropped {
		for _, n := range []string{name, name + logSuffix} {
			if err := dropBucket(b.tx, n); err != nil {
				return err
			}
		}
		b.laterOf(name).laterBucket = &laterBucket{first: 1}
		b.later[name].entry = nil
	}
	if ob.changes.Len() == 0 {
		return nil
	}
	w, inPlace := b.laterOf(name), b.tx.Bucket([]byte(name))
	ob.changes.Scan(func(k string, v []byte) bool {
		w.change(inPlace, k, v)
		return true
	})
	return nil
}

// settleLater writes the logs, puts in place what is due, and publishes what is left. It returns what to publish if there is no commit after all.
func (b *boltBatch) settleLater() (back *laterVersions, err error) {
	if len(b.later) == 0 {
		return nil, nil
	}
	next := &laterTable{tx: b.tx.ID(), buckets: make(map[string]*laterBucket, len(b.table.buckets)+len(b.later))}
	for name, l := range b.table.buckets {
		next.buckets[name] = l
	}
	for name, w := range b.later {
		if err := b.settleBucket(name, w); err != nil {
			return nil, fmt.Errorf("write bucket %s: %w", name, err)
		}
		next.buckets[name] = w.laterBucket
	}
	b.store.later.Store(&laterVersions{next, b.table})
	return &laterVersions{newest: b.table}, nil
}

func (b *boltBatch) settleBucket(name string, w *laterWork) error {
	if w.added == 0 || w.entry == nil {
		return nil
	}
	log, err := b.tx.CreateBucketIfNotExists([]byte(name + logSuffix))
	if err != nil {
		return err
	}
	log.FillPercent = 1
	w.last++
	w.logged += w.added
	entry := append(binary.AppendUvarint(make([]byte, 0, len(w.entry)+4), uint64(w.added)), w.entry...)
	if err := log.Put(logKey(w.last), entry); err != nil {
		return err
	}
	limits := &b.store.limits
	if w.changes.Len() > limits.changes || w.logged > 2*limits.changes {
		if err := b.putInPlace(name, w, max(limits.stretch, 2*w.added)); err != nil {
			return err
		}
	}
	return w.cut(log, limits.cut)
}

// putInPlace goes on with the round: up to n changes.
func (b *boltBatch) putInPlace(name string, w *laterWork, n int) error {
	bucket, err := b.tx.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return err
	}
	bucket.FillPercent = b.store.fill(name)
	var keys []string
	end := true
	w.changes.Ascend(w.at, func(k string, v []byte) bool {
		if end = len(keys) < n; !end {
			w.at = k
			return false
		}
		keys = append(keys, k)
		if v == nil {
			err = bucket.Delete([]byte(k))
		} else {
			err = bucket.Put([]byte(k), v)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		w.changes.Delete(k)
	}
	if end {
		w.done, w.round, w.at = w.round, w.last, ""
	}
	return nil
}

// cut takes entries from the log of which all is in place.
func (l *laterBucket) cut(log *bbolt.Bucket, most int) error {
	for n := 0; l.first <= l.done && n < most; n++ {
		key := logKey(l.first)
		count, size := binary.Uvarint(log.Get(key))
		if size <= 0 {
			return fmt.Errorf("%w: %w", ErrDamaged, errLog)
		}
		if err := log.Delete(key); err != nil {
			return err
		}
		l.logged -= int(count)
		l.first++
	}
	return nil
}
