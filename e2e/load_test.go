//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// taken is what a daemon has of this machine.
type taken struct {
	memory      int64
	descriptors int
	goroutines  int
}

func (d *device) taken(t *testing.T) taken {
	t.Helper()
	n := d.takenOutside(t)
	checks, err := d.Doctor(within(t))
	check(t, err)
	for _, c := range checks {
		if c.Name == "process" {
			_, err = fmt.Sscanf(c.Message, "The daemon has %d goroutines", &n.goroutines)
			check(t, err)
		}
	}
	if n.goroutines == 0 {
		t.Fatalf("the doctor does not tell how many goroutines there are: %+v", checks)
	}
	return n
}

// takenOutside is what the system says, without goroutines. The daemon is not asked: the doctor checks every invariant of the index, which takes memory.
func (d *device) takenOutside(t *testing.T) (n taken) {
	t.Helper()
	var err error
	n.memory, err = lab.Memory(d.PID())
	check(t, err)
	n.descriptors, err = lab.Descriptors(d.PID())
	check(t, err)
	return n
}

// subsides waits until a daemon has little more than it had before: connections that were cut take some time to be given up, and memory is given back
// when the daemon has come to rest. The collector may leave twice what lives, an event log and caches fill up to their bounds.
func (d *device) subsides(t *testing.T, before taken) {
	t.Helper()
	eventually(t, d.Name+" has what it had before", func() error {
		now := d.takenOutside(t)
		calm := now.memory <= 2*before.memory+32*mib && now.descriptors <= before.descriptors+4
		if calm {
			now = d.taken(t)
		}
		if !calm || now.goroutines > before.goroutines+8 {
			open, err := lab.OpenFiles(d.PID())
			return errors.Join(fmt.Errorf("memory, descriptors, goroutines: %+v before, %+v now, with open %v", before, now, open), err)
		}
		return nil
	})
}

// stormRate is how many changes a second a storm on one device has.
const stormRate = 1000

// TestAStormOverManyFiles has two of five devices change files of a large tree at once, far faster than five devices on one machine can follow.
// All must become the same, with what was written last, and must then have of the machine what they had before.
func TestAStormOverManyFiles(t *testing.T) {
	if !*long {
		t.Parallel()
	}
	files, lasts := choose(600, 100_000), choose(time.Second, time.Minute)
	w := newWorld(t, 5, nil, quiet)
	a := w.devices[0]
	check(t, lab.SmallFiles(a.path("tree"), files, 0, 2*kib, 7))
	start := time.Now()
	settle(t, w.devices...)
	t.Logf("%d files are on five devices after %v", files, time.Since(start).Round(time.Second))
	names, err := lab.Texts(a.path("tree"))
	check(t, err)
	var all [2][]string // each storm has files of its own, so that what must come of it is known
	for name := range names {
		k := seedOf(name) % 2
		all[k] = append(all[k], filepath.Join("tree", name))
	}
	before := make([]taken, len(w.devices))
	for i, d := range w.devices {
		before[i] = d.taken(t)
	}

	var wrote [2]map[string]string
	var storms sync.WaitGroup
	for k := range wrote {
		storms.Go(func() { wrote[k] = storm(t, w.devices[1+k], all[k], lasts, uint64(k)) })
	}
	storms.Wait()
	start = time.Now()
	settle(t, w.devices...)
	t.Logf("after %v of storms all are the same within %v", lasts, time.Since(start).Round(time.Second))
	texts, err := lab.Texts(a.Dir)
	check(t, err)
	for k := range wrote {
		for name, want := range wrote[k] {
			if got, there := texts[name]; got != want {
				t.Errorf("%s is %.40q (there: %v), want what %s wrote last: %.40q", name, got, there, w.devices[1+k].Name, want)
			}
		}
	}
	noConflicts(t, w.devices...)
	for i, d := range w.devices {
		d.subsides(t, before[i])
		d.stopsSoon(t, choose(stopAtAll, stopSoon))
	}
}

// storm changes files of a device at stormRate, and returns what it wrote last into each. It gives up no change: where the machine is too slow, it takes longer.
func storm(t *testing.T, d *device, files []string, lasts time.Duration, seed uint64) map[string]string {
	random := rand.New(rand.NewPCG(seed, 1))
	wrote := map[string]string{}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start, n := time.Now(), 0
	for total := int(lasts.Seconds() * stormRate); n < total; <-tick.C {
		for range stormRate / 100 {
			name := files[random.IntN(len(files))]
			text := fmt.Sprintf("%s wrote this as change %d", d.Name, n)
			if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
				t.Error(err)
				return wrote
			}
			wrote[name] = text
			n++
		}
	}
	t.Logf("%s: %.0f changes a second", d.Name, float64(n)/time.Since(start).Seconds())
	return wrote
}

// How long a daemon may take to end once it is told: alone, and beside other tests, which have the disk busy.
const (
	stopSoon  = 5 * time.Second
	stopAtAll = 20 * time.Second
)

// stopsSoon ends a daemon as the system does when it shuts down.
func (d *device) stopsSoon(t *testing.T, limit time.Duration) {
	t.Helper()
	start := time.Now()
	check(t, d.Signal(syscall.SIGTERM))
	code, err := d.Ended(within(t))
	check(t, err)
	took := time.Since(start)
	t.Logf("%s ended within %v", d.Name, took.Round(time.Millisecond))
	if code != 0 || took > limit {
		t.Errorf("%s ended with exit code %d after %v, want 0 within %v", d.Name, code, took, limit)
	}
}

// TestADaemonStopsSoonAtAnyMoment ends one of two daemons while much is being read, hashed, sent, fetched and written.
func TestADaemonStopsSoonAtAnyMoment(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	a, b := pair(t, quiet)
	for round := range choose(3, 40) {
		check(t, lab.SmallFiles(a.path(fmt.Sprintf("small %d", round)), choose(500, 3000), 0, 32*kib, uint64(round)))
		check(t, lab.RandomFile(a.path("big"), choose[int64](32*mib, 300*mib), uint64(round)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(choose(2*time.Second, 5*time.Second)))))
		<-ctx.Done()
		cancel()
		d := []*device{a, b}[random.IntN(2)]
		d.stopsSoon(t, stopSoon)
		d.up(t)
	}
	settle(t, a, b)
	noConflicts(t, a, b)
}

// TestADeviceThatComesAndGoesAllTheTime has a device of the mesh connect, greet and leave ten times a second. The other one keeps syncing, and when that is over
// it has of the machine what it had before.
func TestADeviceThatComesAndGoesAllTheTime(t *testing.T) {
	if !*long {
		t.Parallel()
	}
	v := newVictim(t)
	v.needsPeer(t)
	v.recover(t)
	before := v.anna.taken(t)
	lasts := choose(4*time.Second, 5*time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	start, came := time.Now(), 0
	used := processorTime(t, v.anna)
	for ctx.Err() == nil {
		if err := v.peer.ComeAndGreet(t.Context()); err != nil {
			t.Fatalf("the %d. time: %v", came, err)
		}
		came++
		if came%100 == 0 {
			v.works(t)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	v.works(t)
	lasted := time.Since(start)
	used = processorTime(t, v.anna) - used
	t.Logf("it came %d times in %v; that took the victim %v of the processor", came, lasted.Round(time.Second), used.Round(time.Millisecond))
	if rate := float64(came) / lasted.Seconds(); rate < 2 {
		t.Errorf("it came only %.1f times a second: this shows nothing", rate)
	}
	v.peer.Close()
	v.peer = nil
	v.recover(t)
	v.anna.subsides(t, before)
	v.anna.stopsSoon(t, choose(stopAtAll, stopSoon))
}

// works holds that the honest devices sync, now.
func (v *victim) works(t *testing.T) {
	t.Helper()
	v.anna.at(t).write("honest/0", time.Now().String())
	eventually(t, "the honest devices have the same file", func() error {
		want, err := os.ReadFile(v.anna.path("honest/0"))
		check(t, err)
		if got, _ := os.ReadFile(v.ben.path("honest/0")); string(got) != string(want) {
			return errors.New("they do not")
		}
		return nil
	})
}
