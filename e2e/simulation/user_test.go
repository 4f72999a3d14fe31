package simulation

import (
	"fmt"
	"path"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// Where users act: few names, so that they meet, and now and then one that programs stumble over.
var (
	dirs    = []shoal.Path{"", "d", "e", "d/s"}
	names   = []string{"a", "b", "c"}
	strange = []string{"A", "caf\u00e9", "cafe\u0301", "new\nline", "back\\slash", "-rf", strings.Repeat("n", 251) + ".txt", "a (conflict dev0 2026-06-01 12.00.00 abcd)"}
)

func (w *world) somePath() string {
	if w.r.IntN(12) == 0 {
		return string(dirs[w.r.IntN(len(dirs))].Join(strange[w.r.IntN(len(strange))]))
	}
	return string(dirs[w.r.IntN(len(dirs))].Join(names[w.r.IntN(len(names))]))
}

// something returns a file or folder that is there now, conflict copies among them.
func (w *world) something(d *device) string {
	tree := d.fs.User().Tree()
	if len(tree) == 0 {
		return w.somePath()
	}
	return string(tree[w.r.IntN(len(tree))].Path)
}

func (w *world) newContent(d *device) string {
	w.serial++
	size := 0
	switch w.r.IntN(30) {
	case 0:
		size = 70_000 + w.r.IntN(90_000)
	case 1: // sparse
		return fmt.Sprintf("content %d of %s %s end", w.serial, d.name, strings.Repeat("\x00", 200_000))
	}
	return fmt.Sprintf("content %d of %s %s", w.serial, d.name, strings.Repeat("x", size))
}

// userActs lets a user do something on a device's disk, and tells the oracle what was let go of: what stood where the user acted.
func (w *world) userActs(d *device) {
	d.inside = true
	defer func() { d.inside = false }()
	if w.oracle.closed {
		return
	}
	what := w.act(d, d.fs.User())
	// What users write is durable at once: a torn file of a user is no fault of ours, and telling it from an edit is another story.
	_ = d.fs.User().Sync()
	w.trace("%s: user: %s", d.name, what)
}

// act does one thing and says what.
func (w *world) act(d *device, u disktest.User) string {
	switch k := w.r.IntN(24); {
	case k < 5: // create or overwrite in place
		p, c := w.somePath(), w.newContent(d)
		w.oracle.overwrite(d, p, c, func() error { return u.WriteFile(p, c) })
		return "write " + p
	case k < 8: // replace as editors do, also conflict copies
		p, c := w.something(d), w.newContent(d)
		w.oracle.overwrite(d, p, c, func() error { return u.Save(p, c) })
		return "save " + p
	case k < 10:
		return w.edits(d, u)
	case k < 13:
		p := w.something(d)
		w.oracle.remove(d, p)
		return "remove " + p
	case k < 16:
		from, to := w.something(d), w.somePath()
		if w.r.IntN(4) == 0 {
			to = w.something(d)
		}
		w.oracle.rename(d, from, to)
		return "rename " + from + " to " + to
	case k < 17:
		p, q, t := w.something(d), w.something(d), "swap.tmp"
		if p != q && !shoal.Path(p).Under(shoal.Path(q)) && !shoal.Path(q).Under(shoal.Path(p)) {
			w.oracle.rename(d, p, t)
			w.oracle.rename(d, q, p)
			w.oracle.rename(d, t, q)
		}
		return "swap " + p + " and " + q
	case k < 18:
		p := dirs[1+w.r.IntN(len(dirs)-1)]
		_ = u.MkdirAll(string(p))
		return "mkdir " + string(p)
	case k < 20:
		return w.touches(d, u)
	case k < 21:
		p := w.somePath()
		w.serial++
		if !u.Exists(p) {
			_ = u.Symlink(fmt.Sprintf("target%d", w.serial), p)
		}
		return "symlink " + p
	case k < 22: // as cp does it
		from, to := w.something(d), w.somePath()
		if c, err := u.ReadFile(from); err == nil && from != to {
			w.oracle.overwrite(d, to, c, func() error { return u.WriteFile(to, c) })
		}
		return "copy " + from + " to " + to
	case k < 23: // by hand what resolve does
		return w.answers(d, u)
	default: // replace a file by a folder, or a folder by a file
		p, c := w.something(d), w.newContent(d)
		w.oracle.remove(d, p)
		if w.r.IntN(2) == 0 {
			_ = u.MkdirAll(p)
		} else {
			w.oracle.overwrite(d, p, c, func() error { return u.WriteFile(p, c) })
		}
		return "replace " + p
	}
}

// edits appends to a file or cuts it short.
func (w *world) edits(d *device, u disktest.User) string {
	p, c := w.something(d), w.newContent(d)
	old, err := u.ReadFile(p)
	switch {
	case err != nil:
		return "nothing with " + p
	case w.r.IntN(3) > 0:
		w.oracle.overwrite(d, p, old+c, func() error { return u.Append(p, c) })
		return "append to " + p
	case w.r.IntN(3) == 0:
		w.oracle.overwrite(d, p, "", func() error { return u.WriteFile(p, "") })
		return "empty " + p
	default:
		short := old[:w.r.IntN(len(old)+1)]
		w.oracle.overwrite(d, p, short, func() error { return u.WriteFile(p, short) })
		return "truncate " + p
	}
}

// touches changes a mode or a time.
func (w *world) touches(d *device, u disktest.User) string {
	p := w.something(d)
	w.oracle.touch(d, p)
	if w.r.IntN(2) == 0 {
		_ = u.Chtimes(p, w.now.UnixNano()-int64(w.r.IntN(1_000_000_000)))
		return "touch " + p
	}
	modes := []uint32{0o600, 0o644, 0o755}
	if st, err := u.Lstat(p); err == nil && st.Kind == shoal.KindFolder {
		modes = []uint32{0o700, 0o755, 0o555} // one that its owner can't list is another story
	}
	_ = u.Chmod(p, modes[w.r.IntN(3)])
	return "chmod " + p
}

// answers moves a conflict copy over what it is a copy of.
func (w *world) answers(d *device, u disktest.User) string {
	for _, n := range u.Tree() {
		if before, _, is := strings.Cut(string(n.Path), " (conflict "); is && n.Kind == shoal.KindFile {
			to := before + path.Ext(string(n.Path))
			w.oracle.rename(d, string(n.Path), to)
			return "answer " + string(n.Path)
		}
	}
	return "nothing: there is no conflict"
}
