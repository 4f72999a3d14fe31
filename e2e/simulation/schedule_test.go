package simulation

import (
	"fmt"
	"strings"
)

// schedule says which steps of a seed are played: all below ops, without the ones left out.
type schedule struct {
	seed uint64
	ops  int
	only []int // nil: all
}

func (s schedule) String() string {
	out := fmt.Sprintf("-sim.seed=%d -sim.ops=%d", s.seed, s.ops)
	if s.only != nil {
		out += " -sim.steps=" + strings.ReplaceAll(strings.Trim(fmt.Sprint(s.only), "[]"), " ", ",")
	}
	return out
}

func (s schedule) steps() []int {
	if s.only != nil {
		return s.only
	}
	all := make([]int, s.ops)
	for i := range all {
		all[i] = i
	}
	return all
}

// run plays one schedule: the steps; then everything heals and must come to rest; then somebody deletes, and what was deleted must stay so.
func run(fam *family, s schedule, trace func(string, ...any)) (err error) {
	w, err := newWorld(fam, s.seed, trace)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			for _, d := range w.devices {
				trace("%s", d.rows())
			}
		}
	}()
	for _, i := range s.steps() {
		w.r = random(s.seed, uint64(i)+1)
		if err := w.step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	trace("healing")
	w.r = random(s.seed, 1<<32)
	if err := w.settle(); err != nil {
		return err
	}
	if err := w.check(); err != nil {
		return err
	}
	return w.epilogue()
}

// epilogue lets one user delete something of a mesh at rest while another device is away and a third restarts.
func (w *world) epilogue() error {
	trees := w.devices[0].fs.User().Tree()
	if len(trees) == 0 {
		return nil
	}
	w.trace("epilogue")
	w.oracle.closed = false
	d := w.devices[w.r.IntN(len(w.devices))]
	away := w.links[w.r.IntN(len(w.links))]
	away.up = false
	away.cut()
	gone := string(trees[w.r.IntN(len(trees))].Path)
	before := w.oracle.shown(d)
	w.oracle.remove(d, gone)
	_ = d.fs.User().Sync()
	w.trace("%s: user: remove %s", d.name, gone)
	left := w.oracle.shown(d)
	if err := d.scan(true); err != nil {
		return err
	}
	if err := w.devices[w.r.IntN(len(w.devices))].crash(false); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	if err := w.check(); err != nil {
		return err
	}
	if len(w.nowhere()) > 0 {
		return nil // what should stand in a place can't, so what does stand there stays
	}
	for c := range w.oracle.shown(w.devices[0]) {
		if before[c] && !left[c] && c != "" {
			return fmt.Errorf("resurrected: %.40q was in %q, which was deleted by one who had seen everything", c, gone)
		}
	}
	return nil
}
