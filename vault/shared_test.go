package vault

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/vault/ledger"
)

var long = flag.Bool("long", false, "many more schedules; takes minutes")

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func joined(errs ...error) error   { return errors.Join(errs...) }
func rename(from, to string) error { return os.Rename(from, to) }

// pull takes in everything that a process lacks.
func (p *process) pull() error {
	for range 10 {
		_, came, err := p.tenant.pullOnce(p.w.t.Context(), p.w.people.folder, block.EpochRef{}, make(chan struct{}, 1))
		if err != nil && !errors.Is(err, errNothingCame) {
			return err
		}
		if !came {
			return nil
		}
	}
	return nil
}

func (p *process) folder() *index.Folder { return p.tenant.index(p.w.people.folder) }

// say has a process sign its status. What it says is noted as promised.
func (p *process) say() {
	t, w := p.w.t, p.w
	t.Helper()
	var raw []byte
	must(t, p.folder().Update(t.Context(), func(tx *index.Tx) error {
		st, err := p.tenant.Standing(w.people.folder, tx)
		if err != nil {
			return err
		}
		raw, err = tx.SignStatus(st)
		return err
	}))
	s, err := index.DecodeStatus(raw)
	must(t, err)
	for _, d := range w.devices {
		for dot, wr := range d.written {
			if wr.superseded.IsZero() && s.Complete && s.Applied[dot.Journal] >= dot.Seq {
				wr.promised = true
			}
		}
	}
}

// holds that what was promised is there, as a process sees it that has nothing but the bucket.
func (w *bucketWorld) holds(what string) {
	t := w.t
	t.Helper()
	w.faults(nil)
	fresh := &process{w: w, id: w.people.ids[len(w.people.ids)-1], dir: t.TempDir()}
	if err := fresh.start(); err != nil {
		t.Fatalf("%s: a fresh process does not start: %v", what, err)
	}
	defer fresh.kill()
	must(t, fresh.db.Check(t.Context()))
	frontier := map[shoal.JournalID]shoal.Seq{}
	must(t, fresh.folder().View(func(tx *index.Tx) error {
		for j, p := range tx.Frontier() {
			frontier[j] = p.Seq
		}
		return nil
	}))
	for _, d := range w.devices {
		for dot, wr := range d.written {
			if !wr.promised || !wr.superseded.IsZero() && w.now.Sub(wr.superseded) >= modelRetention {
				continue
			}
			if frontier[dot.Journal] < dot.Seq {
				t.Fatalf("%s: record %s was acknowledged, and is not in the bucket", what, dot)
			}
			for _, ref := range wr.blocks {
				key := block.Key{Folder: w.people.folder, Epoch: ref.Epoch, ID: ref.ID}
				if _, err := fresh.store.Get(t.Context(), key); err != nil {
					t.Fatalf("%s: block %s of record %s was acknowledged: %v", what, ref.ID.Short(), dot, err)
				}
			}
		}
	}
}

// schedule runs one random schedule.
func schedule(t *testing.T, seed uint64, steps int) {
	w := newBucketWorld(t, seed, 2)
	w.inline = []int{0, 3000}[seed%2]
	for i := range steps {
		w.step(i)
	}
	w.holds("at the end")
	// With everything told and nothing failing, all converge.
	for range 2 {
		w.deliver(w.devices[0].f, w.devices[1].f, false)
		w.deliver(w.devices[1].f, w.devices[0].f, false)
	}
	for _, p := range w.procs {
		w.revive(p)
		w.deliver(w.devices[0].f, p.folder(), false)
		must(t, p.pull())
		must(t, p.replica.Sync(t.Context()))
	}
	for _, p := range w.procs {
		must(t, p.replica.Sync(t.Context()))
		must(t, p.pull())
		must(t, p.folder().View(func(tx *index.Tx) error {
			st, err := p.tenant.Standing(w.people.folder, tx)
			kept, kerr := tx.Kept()
			if err != nil || kerr != nil || !st.Complete || !kept.Whole() {
				t.Errorf("at the end a process says %+v of %+v, %v", st, kept, errors.Join(err, kerr))
			}
			return nil
		}))
		p.say()
		must(t, p.db.Check(t.Context()))
	}
	w.holds("after all was told")
}

// revive starts a process that does not run, with what is left of its directory.
func (w *bucketWorld) revive(p *process) {
	w.t.Helper()
	if p.replica != nil {
		return
	}
	w.faults(nil)
	err := p.start()
	if errors.Is(err, ledger.ErrBehind) { // as node/keeper does
		p.dir, p.saved = w.t.TempDir(), nil
		err = p.start()
	}
	must(w.t, err)
}

func (w *bucketWorld) step(i int) {
	t, c := w.t, w.chance
	t.Helper()
	d, p := w.devices[c.IntN(2)], w.procs[c.IntN(len(w.procs))]
	w.revive(p)
	switch c.IntN(16) {
	case 0, 1, 2:
		w.write(d, shoal.Path([]string{"a", "b", "c"}[c.IntN(3)]), c.IntN(12), []int{0, 1, 2, 3, 80}[c.IntN(5)])
	case 3, 4:
		w.deliver(d.f, p.folder(), c.IntN(3) == 0)
	case 5:
		w.deliver(d.f, w.devices[c.IntN(2)].f, false)
	case 6, 7:
		w.try(p, func() error { return p.pull() })
	case 8, 9:
		w.try(p, func() error { return p.replica.Sync(t.Context()) })
	case 10, 11:
		p.say()
	case 12:
		w.now = w.now.Add(time.Duration(c.IntN(int(30 * time.Hour))))
	case 13:
		w.try(p, func() error { return p.tenant.Tend(t.Context()) })
	case 14:
		p.kill()
		if c.IntN(2) == 0 {
			p.dir, p.saved = t.TempDir(), nil
		}
	case 15:
		w.try(p, func() error { return p.replica.Checkpoint(t.Context()) })
	}
	if i%20 == 19 {
		w.holds(fmt.Sprintf("after step %d", i))
	}
}

// try does something while the line may fail, or another process does something in between. A process that meets what it cannot go on with is killed.
func (w *bucketWorld) try(p *process, do func() error) {
	t, c := w.t, w.chance
	t.Helper()
	at, kind := 1+c.IntN(12), c.IntN(6)
	other := w.procs[c.IntN(len(w.procs))]
	what, lose := c.IntN(3), c.IntN(2) == 0
	var dead atomic.Bool
	w.faults(func(n int) s3test.Fault {
		switch {
		case kind == 0 && n >= at: // the process dies here: nothing that it asks arrives any more
			dead.Store(true)
			return s3test.Fault{Status: 500}
		case kind == 1 && n == at:
			dead.Store(lose)
			return s3test.Fault{LoseAnswer: true}
		case kind == 2 && n == at && other != p && other.replica != nil:
			return s3test.Fault{Before: func() { w.between(other, what) }}
		case kind == 3 && n == at && other != p && other.replica != nil:
			return s3test.Fault{After: func() { w.between(other, what) }}
		case kind == 4 && n%5 == at%5:
			return s3test.Fault{Status: 503}
		}
		return s3test.Fault{}
	})
	err := do()
	w.faults(nil)
	switch {
	case errors.Is(err, ledger.ErrBehind):
		p.kill()
		p.dir, p.saved = t.TempDir(), nil
	case dead.Load():
		p.kill()
	case err != nil && !errors.Is(err, errTrouble) && !errors.Is(err, s3store.ErrServer):
		t.Fatalf("%v", err)
	}
}

// between is what another process does while one waits for the server.
func (w *bucketWorld) between(p *process, what int) {
	w.faults(nil)
	var err error
	switch what {
	case 0:
		err = p.replica.Sync(w.t.Context())
	case 1:
		err = p.pull()
	case 2:
		err = p.tenant.Tend(w.t.Context())
	}
	if err != nil && !errors.Is(err, ledger.ErrBehind) {
		w.t.Errorf("between: %v", err)
	}
}

func TestProcessesOnABucketLoseNothingThatAnyAcknowledged(t *testing.T) {
	t.Parallel()
	schedules, steps := 2, 60
	if *long {
		schedules, steps = 200, 120
	}
	for seed := range schedules {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { schedule(t, uint64(seed), steps) })
	}
}

// damagePacks changes a bit in every pack.
func damagePacks(t *testing.T, w *bucketWorld) {
	t.Helper()
	dir := filepath.Join(w.line.Dir(t, w.url), "packs")
	names, err := os.ReadDir(dir)
	must(t, err)
	for _, n := range names {
		f, err := os.OpenFile(filepath.Join(dir, n.Name()), os.O_RDWR, 0)
		must(t, err)
		st, err := f.Stat()
		must(t, err)
		var b [1]byte
		_, err = f.ReadAt(b[:], st.Size()-1)
		must(t, err)
		b[0] ^= 1
		_, err = f.WriteAt(b[:], st.Size()-1)
		must(t, err)
		must(t, f.Close())
	}
}
