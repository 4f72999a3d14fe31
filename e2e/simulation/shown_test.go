package simulation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// contents lists what the disk holds, history included.
func (d *device) contents() map[string]bool {
	out := map[string]bool{}
	u := d.fs.User()
	for _, n := range append(u.Tree(), u.Under(".shoal")...) {
		if n.Kind == shoal.KindFile {
			out[n.Content] = true
		}
	}
	return out
}

// shown is what a user sees: names, kinds, modes, contents, times of files; without some paths.
func (d *device) shown(without map[shoal.Path]bool) string {
	var b strings.Builder
	for _, n := range d.fs.User().Tree() {
		if without[n.Path] {
			continue
		}
		mtime := int64(0)
		if n.Kind != shoal.KindFolder {
			mtime = n.MTime
		}
		fmt.Fprintf(&b, "%v %o %q %s %q %d\n", n.Kind, n.Mode, n.Path, n.Content, n.Target, mtime)
	}
	return b.String()
}

func (d *device) fingerprint() string { return d.shown(nil) + d.frontier() + d.needs(nil) }

func (d *device) frontier() string {
	var lines []string
	_ = d.idx.View(func(tx *index.Tx) error {
		for j, pos := range tx.Frontier() {
			lines = append(lines, fmt.Sprintf("%s:%d", j, pos.Seq))
		}
		return nil
	})
	slices.Sort(lines)
	return strings.Join(lines, ",")
}

func (d *device) needs(without map[shoal.Path]bool) string {
	var out []string
	_ = d.idx.View(func(tx *index.Tx) error {
		paths, err := tx.Needs("", 100)
		for _, p := range paths {
			if without[p] {
				continue
			}
			want, _ := tx.Desired(p)
			base, _ := tx.Base(p)
			out = append(out, describeNeed(p, want, base))
		}
		return err
	})
	for _, p := range d.eng.Problems() {
		out = append(out, fmt.Sprintf("problem %q %s %s", p.Path, p.Kind, p.Message))
	}
	return strings.Join(out, "\n")
}

func describeNeed(p shoal.Path, want *index.State, base *index.Base) string {
	s := fmt.Sprintf("%q wants", p)
	if want == nil {
		s += " nothing"
	} else {
		s += fmt.Sprintf(" %v %x %o %d version %s copy %v", want.Kind, want.Content[:3], want.Mode, want.MTime, short(want.Version), want.Copy != nil)
	}
	if base == nil {
		return s + ", has nothing"
	}
	return s + fmt.Sprintf(", has %v %x %o %d version %s copy %v", base.Kind, base.Content[:3], base.Mode, base.MTime, short(base.Version), base.Copy != nil)
}

func short(v conflict.Version) string {
	var b strings.Builder
	for _, d := range v {
		fmt.Fprintf(&b, "%s.%04x:%d ", d.Journal.Device.Short(), d.Journal.Nonce>>48, d.Seq)
	}
	return "[" + strings.TrimSpace(b.String()) + "]"
}

// rows tells everything that the index has of every path: what to look at when a schedule fails.
func (d *device) rows() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s frontier %s\n", d.name, d.frontier())
	_ = d.idx.View(func(tx *index.Tx) error {
		return tx.Walk("", func(r index.Row) error {
			want, _ := tx.Desired(r.Path)
			fmt.Fprintf(&b, "%s kids %d: %s\n", d.name, r.Kids, describeNeed(r.Path, want, r.Base))
			for i := range r.Live {
				l := &r.Live[i]
				fmt.Fprintf(&b, "    %s.%04x:%d slot %d %v %x version %s from %d to %q carried %v time %d\n", l.Dot.Journal.Device.Short(), l.Dot.Journal.Nonce>>48, l.Dot.Seq, l.Slot,
					l.Entry.Kind, l.Entry.Content[:3], short(l.Version()), l.ContentFrom().Seq, l.Entry.MovedTo, l.Entry.Carried, l.Entry.Time)
			}
			return nil
		})
	})
	return b.String()
}
