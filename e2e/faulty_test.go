//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/faulty"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// What a victim may take and spend.
const (
	victimMemory = 200 * mib
	calmWindow   = time.Second
	calmTime     = 200 * time.Millisecond // of the processor, in a window
)

// TestAFaultyDeviceHarmsNobody runs the list of misbehaviours against a device that also syncs with an honest one. After each the victim's log
// has the reason, its memory stayed within bounds and it answers; after each, in long runs, and each few else, it has calmed down, the honest
// device still syncs with it, and its files are what they were.
func TestAFaultyDeviceHarmsNobody(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	done := 0
	for _, m := range faulty.Misbehaviours() {
		if !m.Short && !*long {
			continue
		}
		ok := t.Run(m.Name, func(t *testing.T) {
			v.suffer(t, m)
			if done++; *long || done%14 == 0 {
				v.recover(t)
			}
		})
		if !ok && !v.anna.Running() {
			t.Fatalf("the victim has ended")
		}
	}
	v.recover(t)
}

// victim is a device that a faulty one is connected with, and an honest one.
type victim struct {
	anna, ben *device
	peer      *faulty.Peer
	joined    int64    // how long the log was when the faulty device came
	peers     int      // how many there were
	files     int      // how many files the honest ones wrote
	around    []string // what stands beside the folder
}

func newVictim(t *testing.T) *victim {
	a, b := pair(t)
	v := &victim{anna: a, ben: b}
	check(t, os.Mkdir(a.path("honest"), 0o755))
	for i := range 20 {
		check(t, lab.RandomFile(a.path(fmt.Sprintf("honest/%d", i)), 100*kib, uint64(i)))
	}
	settle(t, a, b)
	v.around = v.beside(t)
	t.Cleanup(func() {
		if v.peer != nil {
			v.peer.Close()
		}
	})
	return v
}

// beside lists what stands beside the victim's folder, where nothing may come to stand.
func (v *victim) beside(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(v.anna.Dir), "*"))
	check(t, err)
	return names
}

// said returns what the victim's log has since.
func (v *victim) said(t *testing.T, since int64) string {
	t.Helper()
	log, err := os.ReadFile(v.anna.Log)
	check(t, err)
	return string(log[since:])
}

func (v *victim) logged(t *testing.T) int64 {
	t.Helper()
	st, err := os.Stat(v.anna.Log)
	check(t, err)
	return st.Size()
}

// needsPeer admits a new faulty device when there is none that the victim listens to.
func (v *victim) needsPeer(t *testing.T) {
	t.Helper()
	if v.peer != nil {
		log, heard := v.said(t, v.joined), true
		for _, sign := range []string{"leave a device out", "stop fetching from device", `msg="block stream ended"`} {
			heard = heard && !strings.Contains(log, sign)
		}
		if heard {
			return
		}
		v.peer.Close()
		v.peer = nil
	}
	v.joined = v.logged(t)
	v.peers++
	invite, err := v.anna.Invite(within(t), "--yes")
	check(t, err)
	v.peer, err = faulty.Join(within(t), invite.Ticket, fmt.Sprintf("faulty-%d", v.peers))
	check(t, err)
}

// suffer lets the faulty device do one thing, and looks at what must hold at once.
func (v *victim) suffer(t *testing.T, m faulty.Misbehaviour) {
	v.needsPeer(t)
	before := v.logged(t)
	resetPeak(v.anna.PID())
	ctx, cancel := context.WithTimeout(t.Context(), *patience)
	defer cancel()
	if err := m.Do(ctx, v.peer); err != nil {
		t.Errorf("the faulty device could not do it: %v", err)
	}
	if m.Reason != "" {
		eventually(t, fmt.Sprintf("the log says %q", m.Reason), func() error {
			if !strings.Contains(v.said(t, before), m.Reason) {
				return errors.New("it does not")
			}
			return nil
		})
	}
	v.peer.Quiet()
	peak, err := lab.PeakMemory(v.anna.PID())
	check(t, err)
	t.Logf("peak memory %d MiB", peak/mib)
	if peak > victimMemory {
		t.Errorf("the victim took %d MiB of memory", peak/mib)
	}
	if s := v.anna.status(t); len(s.Folders) != 1 || s.Folders[0].State == "error" {
		t.Errorf("the victim has the folders %+v", s.Folders)
	}
}

// resetPeak begins a new count of the greatest memory (proc(5), clear_refs). Where that is not allowed the count goes on, which is stricter.
func resetPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }

// recover returns when the victim is calm and has synced with the honest device in both directions, and nothing else has changed.
func (v *victim) recover(t *testing.T) {
	t.Helper()
	began := time.Now()
	eventually(t, "the victim calms down", func() error {
		before := processorTime(t, v.anna)
		ctx, cancel := context.WithTimeout(t.Context(), calmWindow)
		defer cancel()
		<-ctx.Done()
		if used := processorTime(t, v.anna) - before; used > calmTime {
			return fmt.Errorf("it used the processor for %s in %s", used, calmWindow)
		}
		return nil
	})
	t.Logf("calm after %s", time.Since(began).Round(time.Millisecond))
	v.files++
	for i, d := range []*device{v.anna, v.ben} {
		check(t, lab.RandomFile(d.path(fmt.Sprintf("%s-%d", d.Name, v.files)), 200*kib, uint64(1000+2*v.files+i)))
	}
	eventually(t, "the honest devices have the same files", func() error {
		a, b := v.honest(t, v.anna), v.honest(t, v.ben)
		if diff := a.Diff(b); len(diff) > 0 {
			return fmt.Errorf("they differ: %v", diff)
		}
		if want := 21 + 2*v.files; len(a) != want {
			return fmt.Errorf("there are %d names, want %d: %v", len(a), want, a.List())
		}
		return nil
	})
	t.Logf("all the same after %s", time.Since(began).Round(time.Millisecond))
	if now := v.beside(t); fmt.Sprint(now) != fmt.Sprint(v.around) {
		t.Errorf("beside the folder there is %v, before there was %v", now, v.around)
	}
}

// honest is a device's tree without what the faulty device may put there like any other member.
func (v *victim) honest(t *testing.T, d *device) lab.Tree {
	t.Helper()
	tree := d.tree(t)
	for name := range tree {
		if strings.HasPrefix(name, "faulty") {
			delete(tree, name)
		}
	}
	return tree
}
