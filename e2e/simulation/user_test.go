package simulation

import (
	"fmt"
	"strings"

	"github.com/shoalmesh/shoal"
)

// Where users act: few names, so that they meet.
var (
	dirs  = []shoal.Path{"", "d", "e", "d/s"}
	names = []string{"a", "b", "c"}
)

func (w *world) somePath() string {
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
	if w.r.IntN(20) == 0 {
		size = 70_000 + w.r.IntN(90_000)
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
	u := d.fs.User()
	var what string
	switch k := w.r.IntN(20); {
	case k < 5: // create or overwrite in place
		p, c := w.somePath(), w.newContent(d)
		what = "write " + p
		w.oracle.overwrite(d, p, c, func() error { return u.WriteFile(p, c) })
	case k < 8: // replace as editors do, also conflict copies
		p, c := w.something(d), w.newContent(d)
		what = "save " + p
		w.oracle.overwrite(d, p, c, func() error { return u.Save(p, c) })
	case k < 9:
		p, c := w.something(d), w.newContent(d)
		what = "append " + p
		old, err := u.ReadFile(p)
		if err == nil {
			w.oracle.overwrite(d, p, old+c, func() error { return u.Append(p, c) })
		}
	case k < 12:
		p := w.something(d)
		what = "remove " + p
		w.oracle.remove(d, p)
	case k < 15:
		from, to := w.something(d), w.somePath()
		if w.r.IntN(4) == 0 {
			to = w.something(d)
		}
		what = "rename " + from + " to " + to
		w.oracle.rename(d, from, to)
	case k < 16:
		p := dirs[1+w.r.IntN(len(dirs)-1)]
		what = "mkdir " + string(p)
		_ = u.MkdirAll(string(p))
	case k < 17:
		p := w.something(d)
		what = "chmod " + p
		modes := []uint32{0o600, 0o644, 0o755}
		if st, err := u.Lstat(p); err == nil && st.Kind == shoal.KindFolder {
			modes = []uint32{0o700, 0o755, 0o555} // one that its owner can't list is another story
		}
		_ = u.Chmod(p, modes[w.r.IntN(3)])
	case k < 18:
		p := w.something(d)
		what = "touch " + p
		_ = u.Chtimes(p, w.now.UnixNano()-int64(w.r.IntN(1_000_000_000)))
	case k < 19:
		p := w.somePath()
		what = "symlink " + p
		w.serial++
		if !u.Exists(p) {
			_ = u.Symlink(fmt.Sprintf("target%d", w.serial), p)
		}
	default: // replace a file by a folder, or a folder by a file
		p, c := w.something(d), w.newContent(d)
		what = "replace " + p
		w.oracle.remove(d, p)
		if w.r.IntN(2) == 0 {
			_ = u.MkdirAll(p)
		} else {
			w.oracle.overwrite(d, p, c, func() error { return u.WriteFile(p, c) })
		}
	}
	// What users write is durable at once: a torn file of a user is no fault of ours, and telling it from an edit is another story.
	_ = u.Sync()
	w.trace("%s: user: %s", d.name, what)
}
