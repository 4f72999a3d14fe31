package simulation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// oracle knows every content that a user wrote and whether a user let go of it: by overwriting or deleting it where it was shown.
type oracle struct {
	written  map[string]string // content → who wrote it, for the message
	released map[string]bool
	excused  map[string]bool // lost with the power before it was ever durable
	deleted  map[string]bool // a user deleted it where it was shown
	touched  map[string]bool // a user renamed it or changed its mode or time, or wrote it twice: then its deletion may meet something that it had not seen
	strict   bool            // what was deleted may not come back
	closed   bool
}

func newOracle() *oracle {
	return &oracle{written: map[string]string{}, released: map[string]bool{}, excused: map[string]bool{}, deleted: map[string]bool{}, touched: map[string]bool{}}
}

// overwrite does something that puts content c at p instead of what is there.
func (o *oracle) overwrite(d *device, p, c string, do func() error) {
	old, oldErr := d.fs.User().ReadFile(p)
	o.answer(d, p)
	if err := do(); err != nil {
		return
	}
	if oldErr == nil {
		o.released[old] = true
	}
	if _, twice := o.written[c]; twice {
		o.touched[c] = true
	}
	o.written[c] = fmt.Sprintf("%s at %s", d.name, p)
}

// answer notes that a user is about to change p, and sees the conflict copies beside it: that keeps them, as files of their own.
func (o *oracle) answer(d *device, p string) {
	for _, n := range d.fs.User().Tree() {
		stem, _, isCopy := strings.Cut(n.Path.Name(), " (conflict ")
		if isCopy && n.Path.Parent() == shoal.Path(p).Parent() && strings.HasPrefix(shoal.Path(p).Name(), stem) {
			o.touched[n.Content] = true
		}
	}
}

// touch notes that a user did something to p that leaves its content alone.
func (o *oracle) touch(d *device, p string) {
	o.answer(d, p)
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile && (string(n.Path) == p || n.Path.Under(shoal.Path(p))) {
			o.touched[n.Content] = true
		}
	}
}

// remove deletes p and everything in it.
func (o *oracle) remove(d *device, p string) {
	u := d.fs.User()
	before := u.Tree()
	o.answer(d, p)
	_ = u.RemoveAll(p) // a folder that its owner may not write to keeps what is in it
	for _, n := range before {
		if n.Kind == shoal.KindFile && (string(n.Path) == p || n.Path.Under(shoal.Path(p))) && !u.Exists(string(n.Path)) {
			o.released[n.Content], o.deleted[n.Content] = true, true
			// A copy may become an ordinary file elsewhere at the same time, and what is deleted while it is being replaced may just have
			// got its copy: both are kept, and that is right.
			if d.acting || strings.Contains(string(n.Path), " (conflict ") {
				o.touched[n.Content] = true
			}
		}
	}
}

// rename moves from to to; a file that was at to is let go of.
func (o *oracle) rename(d *device, from, to string) {
	u := d.fs.User()
	o.touch(d, from)
	o.touch(d, to)
	old, oldErr := u.ReadFile(to)
	same, sameErr := u.ReadFile(from)
	if err := u.Rename(from, to); err == nil && oldErr == nil && from != to && (old != same || sameErr != nil) {
		o.released[old] = true
	}
}

// crashed excuses what a device's disk held before the power went, and does not hold now, unless somebody else has it.
func (o *oracle) crashed(d *device, before map[string]bool) {
	after := d.contents()
	for c := range before {
		if after[c] {
			continue
		}
		kept := slices.ContainsFunc(d.w.devices, func(x *device) bool { return x != nil && x != d && x.contents()[c] })
		if !kept {
			o.excused[c] = true
		}
	}
}

// shown is every content that a device shows.
func (o *oracle) shown(d *device) map[string]bool {
	shown := map[string]bool{}
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile {
			shown[n.Content] = true
		}
	}
	return shown
}

// follows is every content that a device shows where it followed a rename, by a record of its own. One who deleted it under its old name at the same time
// had not seen that, and a rename stands against a deletion that had not seen it.
func (d *device) follows() map[string]bool {
	to := map[shoal.Path]bool{}
	_ = d.idx.View(func(tx *index.Tx) error {
		return tx.Walk("", func(r index.Row) error {
			for i := range r.Live {
				if q := r.Live[i].Entry.MovedTo; q != "" {
					to[q] = true
				}
			}
			return nil
		})
	})
	out := map[string]bool{}
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile && to[n.Path] {
			out[n.Content] = true
		}
	}
	return out
}

// check tells whether everything that nobody let go of is still shown, and nothing that was deleted came back.
func (o *oracle) check(d *device, all []*device) error {
	shown := o.shown(d)
	follows := d.follows()
	for c := range o.deleted {
		if o.strict && shown[c] && !o.touched[c] && !o.excused[c] && !follows[c] && c != "" {
			return fmt.Errorf("resurrected: %.40q, written by %s, was deleted where it was shown, and nobody did anything else with it", c, o.written[c])
		}
	}
	for c, who := range o.written {
		if shown[c] || o.released[c] || o.excused[c] {
			continue
		}
		return fmt.Errorf("lost: %.40q, written by %s, was neither overwritten nor deleted by anybody; the tree is\n%s", c, who, d.fs.User().Dump())
	}
	return nil
}
