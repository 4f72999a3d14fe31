package simulation

import (
	"fmt"
	"slices"

	"github.com/shoalmesh/shoal"
)

// oracle knows every content that a user wrote and whether a user let go of it: by overwriting or deleting it where it was shown.
type oracle struct {
	written  map[string]string // content → who wrote it, for the message
	released map[string]bool
	excused  map[string]bool // lost with the power before it was ever durable
	closed   bool
}

func newOracle() *oracle {
	return &oracle{written: map[string]string{}, released: map[string]bool{}, excused: map[string]bool{}}
}

// overwrite does something that puts content c at p instead of what is there.
func (o *oracle) overwrite(d *device, p, c string, do func() error) {
	old, oldErr := d.fs.User().ReadFile(p)
	if err := do(); err != nil {
		return
	}
	if oldErr == nil {
		o.released[old] = true
	}
	o.written[c] = fmt.Sprintf("%s at %s", d.name, p)
}

// remove deletes p and everything in it.
func (o *oracle) remove(d *device, p string) {
	o.release(d, p)
	_ = d.fs.User().RemoveAll(p)
}

func (o *oracle) release(d *device, p string) {
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile && (string(n.Path) == p || n.Path.Under(shoal.Path(p))) {
			o.released[n.Content] = true
		}
	}
}

// rename moves from to to; a file that was at to is let go of.
func (o *oracle) rename(d *device, from, to string) {
	u := d.fs.User()
	old, oldErr := u.ReadFile(to)
	same, _ := u.ReadFile(from)
	if err := u.Rename(from, to); err == nil && oldErr == nil && from != to && old != same {
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

// check tells whether everything that nobody let go of is still shown.
func (o *oracle) check(d *device, all []*device) error {
	shown := map[string]bool{}
	for _, n := range d.fs.User().Tree() {
		if n.Kind == shoal.KindFile {
			shown[n.Content] = true
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
