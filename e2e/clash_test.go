//go:build linux

package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// clash is one way in which devices can get in each other's way while they are apart. All clashes of a test happen in one mesh and in
// one time apart, each in a folder of its own.
type clash struct {
	name   string
	before func(disk) // on the first device, while all are together
	first  deeds      // while all are apart
	then   deeds      // while all are apart for the second time
	online bool       // needs running daemons while apart
	keeps  []string   // contents that must be there at the end, in files of any name
	exact  layout     // what must be under these names; "" as content: nothing may be there
	copies int        // how many conflict copies there must be; anyNumber: that depends on who was first
	check  func(*outcome)
}

// deeds are what the devices do, in the order of joining.
type deeds []func(actor)

// layout maps names to contents.
type layout map[string]string

const anyNumber = -1

// actor is a device at work in the folder of one clash.
type actor struct {
	disk
	d *device
}

// outcome is what came of a clash: the same on all devices.
type outcome struct {
	t      *testing.T
	tree   lab.Tree
	texts  map[string]string // of the regular files
	copies []string          // names of conflict copies at the top
}

// held tells how many files hold a content.
func (o *outcome) held(text string) (n int) {
	for _, got := range o.texts {
		if got == text {
			n++
		}
	}
	return n
}

func (o *outcome) String() string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.texts)) {
		fmt.Fprintf(&out, "  %q: %q\n", name, o.texts[name])
	}
	return out.String()
}

// runClashes lets all clashes happen in one mesh and holds what came of each against the table.
func runClashes(t *testing.T, w *world, table []clash) {
	table = slices.DeleteFunc(slices.Clone(table), func(c clash) bool {
		if c.online && !w.running() {
			t.Run(c.name, func(t *testing.T) { t.Skip("needs daemons that run while they are apart") })
			return true
		}
		return false
	})
	for _, c := range table {
		d := w.devices[0].at(t, c.name)
		d.mkdir(".")
		if c.before != nil {
			c.before(d)
		}
	}
	settle(t, w.devices...)
	for _, round := range []func(clash) deeds{func(c clash) deeds { return c.first }, func(c clash) deeds { return c.then }} {
		w.apart(t)
		for i, d := range w.devices {
			for _, c := range table {
				if acts := round(c); i < len(acts) && acts[i] != nil {
					acts[i](actor{d.at(t, c.name), d})
				}
			}
		}
		w.together(t)
	}
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) { judge(t, w, c) })
	}
}

// judge holds what came of one clash against the table.
func judge(t *testing.T, w *world, c clash) {
	d := w.devices[0]
	o := &outcome{t: t, tree: d.tree(t).Under(c.name), texts: d.at(t, c.name).texts()}
	for _, name := range slices.Sorted(maps.Keys(o.tree)) {
		if isCopy(name) && !strings.Contains(name, "/") {
			o.copies = append(o.copies, name)
		}
	}
	for _, text := range c.keeps {
		if o.held(text) != 1 {
			t.Errorf("%q is in %d files, want it in one", text, o.held(text))
		}
	}
	for name, want := range c.exact {
		if got, there := o.texts[name]; got != want || there != (want != "") {
			t.Errorf("%q holds %q (there: %v), want %q", name, got, there, want)
		}
	}
	if c.copies != anyNumber && len(o.copies) != c.copies {
		t.Errorf("there are %d conflict copies, want %d", len(o.copies), c.copies)
	}
	if c.check != nil {
		c.check(o)
	}
	if t.Failed() {
		t.Logf("what came of it:\n%s", o)
	}
}

// quietAfterwards holds that nobody writes another record once all are connected and have looked at their disks again.
func quietAfterwards(t *testing.T, w *world) {
	t.Helper()
	resting := func() (f map[string]uint64) {
		settle(t, w.devices...)
		// What one device told another last, and changes nothing, may still make it look busy.
		eventually(t, "all devices rest", func() (err error) { f, err = frontier(t, w.devices); return err })
		return f
	}
	before := resting()
	for range 2 {
		for _, d := range w.devices {
			d.do(t, "rescan")
		}
		after := resting()
		if !maps.Equal(before, after) {
			t.Errorf("records are written without end: %v, then %v", before, after)
		}
	}
}

func TestClashesOfTwoEndTheSameAndLoseNothing(t *testing.T) {
	t.Parallel()
	bothWays(t, 2, func(t *testing.T, w *world) {
		runClashes(t, w, clashesOfTwo)
		quietAfterwards(t, w)
	})
}

func TestClashesOfThreeEndTheSameAndLoseNothing(t *testing.T) {
	t.Parallel()
	bothWays(t, 3, func(t *testing.T, w *world) {
		runClashes(t, w, clashesOfThree)
		quietAfterwards(t, w)
	})
}

// holds is a check: that there are so many files.
func holds(n int) func(*outcome) {
	return func(o *outcome) {
		if len(o.texts) != n {
			o.t.Errorf("there are %d files, want %d", len(o.texts), n)
		}
	}
}

// hold is a check: that each content is in one file or more.
func hold(texts ...string) func(*outcome) {
	return func(o *outcome) {
		for _, text := range texts {
			if o.held(text) == 0 {
				o.t.Errorf("%q is lost", text)
			}
		}
	}
}

// hasMode is a check of a file's permission bits.
func hasMode(name string, want os.FileMode) func(*outcome) {
	return func(o *outcome) {
		if got := o.tree[name].Mode; got != want {
			o.t.Errorf("%q has mode %v, want %v", name, got, want)
		}
	}
}
