package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// User is the hand of the user and of their programs on a disk. What it does is not synced, as with most programs, and
// obeys permissions and the disk's size. Errors are those of disk.FS.
type User struct{ f *FS }

// User returns the user's hand on f.
func (f *FS) User() User { return User{f} }

// do runs one of the user's operations.
func (u User) do(op, p string, fn func() error) error {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	if u.f.dead {
		return wrap(op, p, Crashed)
	}
	if err := validate(p); err != nil {
		return wrap(op, p, err)
	}
	u.f.now += int64(u.f.opts.Step)
	return wrap(op, p, fn())
}

// WriteFile writes content into the file p in place, as a shell's ">" does: an existing file keeps its inode and mode, a
// new one has mode 0o644.
func (u User) WriteFile(p, content string) error {
	return u.do("user write", p, func() error {
		n, err := u.fileFor(p)
		if err != nil {
			return err
		}
		u.f.truncate(n.ino, 0)
		return u.f.write(n.ino, []byte(content), 0, true)
	})
}

// Append adds content to the end of the file p, which it makes if need be.
func (u User) Append(p, content string) error {
	return u.do("user append", p, func() error {
		n, err := u.fileFor(p)
		if err != nil {
			return err
		}
		return u.f.write(n.ino, []byte(content), n.content.size, true)
	})
}

// fileFor finds the file p for writing, or makes it.
func (u User) fileFor(p string) (*inode, error) {
	n, err := u.f.walk(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u.f.create(p, 0o644)
	case err != nil:
		return nil, err
	case n.kind != shoal.KindFile:
		return nil, disk.ErrNotFile
	}
	return n, allowed(n, mayWrite)
}

// Save replaces the file p as careful editors do: a new file beside it, renamed over it. The mode is kept.
func (u User) Save(p, content string) error {
	tmp := p + ".save~"
	return u.do("user save", p, func() error {
		mode := uint32(0o644)
		if old, err := u.f.walk(p); err == nil && old.kind == shoal.KindFile {
			mode = old.mode
		}
		n, err := u.f.create(tmp, mode|mayWrite)
		if err != nil {
			return err
		}
		n.mode = u.f.modeFor(mode)
		err = u.f.write(n.ino, []byte(content), 0, true)
		if err == nil {
			err = u.f.rename(tmp, p, true)
		}
		if err != nil {
			return errors.Join(err, u.f.remove(tmp))
		}
		return nil
	})
}

// ReadFile returns the content of the file p, whatever its permissions.
func (u User) ReadFile(p string) (content string, err error) {
	err = u.do("user read", p, func() error {
		n, err := u.f.walk(p)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindFile {
			return disk.ErrNotFile
		}
		content = n.content.text()
		return nil
	})
	return content, err
}

// text returns all bytes.
func (c content) text() string {
	b := make([]byte, c.size)
	if c.size > 0 {
		_, _ = c.readAt(b, 0) // cannot fail inside the size
	}
	return string(b)
}

// Mkdir makes the folder p with mode 0o755.
func (u User) Mkdir(p string) error {
	return u.do("user mkdir", p, func() error { return u.f.mkdir(p, 0o755) })
}

// MkdirAll makes the folder p and those above it, where they are missing.
func (u User) MkdirAll(p string) error {
	return u.do("user mkdir", p, func() error {
		for i := range len(p) + 1 {
			if i < len(p) && p[i] != '/' {
				continue
			}
			n, err := u.f.walk(p[:i])
			if errors.Is(err, fs.ErrNotExist) {
				err = u.f.mkdir(p[:i], 0o755)
			} else if err == nil && n.kind != shoal.KindFolder {
				err = disk.ErrNotFolder
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Rename moves a name as mv does: it replaces a file by a file and an empty folder by a folder.
func (u User) Rename(from, to string) error {
	return u.do("user rename", from, func() error {
		if err := validate(to); err != nil || from == "" {
			return errors.Join(err, fs.ErrInvalid)
		}
		return u.f.rename(from, to, true)
	})
}

// Link gives the file at p a second name.
func (u User) Link(p, name string) error {
	return u.do("user link", p, func() error {
		if err := validate(name); err != nil {
			return err
		}
		n, err := u.f.walk(p)
		if err != nil {
			return err
		}
		if n.kind == shoal.KindFolder {
			return fs.ErrPermission
		}
		pl, err := u.f.findFree(name)
		if err != nil {
			return err
		}
		u.f.name(pl, n)
		return nil
	})
}

// Symlink makes p a symlink.
func (u User) Symlink(target, p string) error {
	return u.do("user symlink", p, func() error { return u.f.symlink(target, p) })
}

// Special makes p something that Shoal does not sync: a pipe, say.
func (u User) Special(p string) error {
	return u.do("user mkfifo", p, func() error {
		pl, err := u.f.findFree(p)
		if err != nil {
			return err
		}
		u.f.name(pl, u.f.newInode(0, 0o644, pl.dir.dev))
		return nil
	})
}

// Remove removes a file, a symlink, or an empty folder.
func (u User) Remove(p string) error {
	return u.do("user remove", p, func() error {
		if p == "" {
			return fs.ErrInvalid
		}
		return u.f.remove(p)
	})
}

// RemoveAll removes p and all in it; nothing if it is not there. Permissions stop it half-way. "" empties the root.
func (u User) RemoveAll(p string) error {
	return u.do("user remove", p, func() error { return u.removeAll(p) })
}

func (u User) removeAll(p string) error {
	n, err := u.f.walk(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if n.kind == shoal.KindFolder {
		if err := allowed(n, mayRead|mayEnter); err != nil {
			return err
		}
		for _, e := range n.entries.Values() {
			if err := u.removeAll(string(shoal.Path(p).Join(e.name))); err != nil {
				return err
			}
		}
	}
	if p == "" {
		return nil
	}
	return u.f.remove(p)
}

// Chmod sets permission bits.
func (u User) Chmod(p string, mode uint32) error {
	return u.do("user chmod", p, func() error { return u.f.chmod(p, mode) })
}

// Chtimes sets the time of last change.
func (u User) Chtimes(p string, mtime int64) error {
	return u.do("user touch", p, func() error { return u.f.chtimes(p, mtime) })
}

// Lstat is disk.FS's, without Fail.
func (u User) Lstat(p string) (st disk.Stat, err error) {
	err = u.do("user stat", p, func() error {
		n, err := u.f.walk(p)
		if err == nil {
			st = u.f.statOf(shoal.Path(p).Name(), n)
		}
		return err
	})
	return st, err
}

// Exists tells whether anything is at p.
func (u User) Exists(p string) bool {
	_, err := u.Lstat(p)
	return err == nil
}

// Mount makes the empty folder p the root of another file system: it and all that is made in it has another device number.
func (u User) Mount(p string) error {
	return u.do("user mount", p, func() error {
		n, err := u.f.walk(p)
		if err != nil {
			return err
		}
		if n.kind != shoal.KindFolder || n.entries.Len() > 0 {
			return disk.ErrNotEmpty
		}
		u.f.lastDev++
		u.f.edit(n.ino).dev = u.f.lastDev
		return nil
	})
}

// OpenForWriting opens the file p, or a new one, as a program does that keeps it open: Busy is true of it until Close, and
// what is written lands in the file wherever it was moved meanwhile, or nowhere once it has no name and the handle is closed.
func (u User) OpenForWriting(p string) (w disk.WFile, err error) {
	err = u.do("user open", p, func() error {
		n, err := u.fileFor(p)
		if err != nil {
			return err
		}
		h := u.f.newHandle(n, p, true)
		h.user = true
		w = h
		return nil
	})
	return w, err
}

// Sync makes everything durable, as the system does by itself after a while.
func (u User) Sync() error {
	return u.do("user sync", "", func() error {
		u.f.settle()
		return nil
	})
}

// Node is one path of a tree, as Tree returns it.
type Node struct {
	Path shoal.Path
	disk.Stat
	Content string // of a file
	Target  string // of a symlink
}

// Rot flips a bit of the content of the file p on the disk itself, as a failing disk does: no time changes.
func (f *FS) Rot(p string, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walk(p)
	if err != nil {
		return wrap("rot", p, err)
	}
	n = f.edit(n.ino)
	flip := func(c *content) {
		var b [1]byte
		if _, err := c.readAt(b[:], off); err == nil {
			b[0] ^= 1
			c.writeAt(b[:], off)
		}
	}
	flip(&n.content)
	if n.durable != nil {
		flip(&n.durable.content)
	}
	return nil
}

// Tree returns everything on the disk in tree order, whatever its permissions, without the root and ".shoal".
func (u User) Tree() []Node { return u.Under("") }

// Under returns what Tree returns of the inside of the folder dir; ".shoal" and what is below it can be asked for so.
func (u User) Under(dir string) []Node {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	var nodes []Node
	at := u.f.get(rootIno)
	for name := range strings.SplitSeq(dir, "/") {
		if dir == "" {
			break
		}
		e, ok := at.entries.Get(u.f.key(name))
		if !ok || u.f.get(e.ino).kind != shoal.KindFolder {
			return nil
		}
		at = u.f.get(e.ino)
	}
	u.collect(shoal.Path(dir), at, &nodes)
	return nodes
}

func (u User) collect(dir shoal.Path, n *inode, nodes *[]Node) {
	entries := n.entries.Values()
	sortEntries(entries)
	for _, e := range entries {
		if dir == "" && e.name == shoal.ReservedName {
			continue
		}
		child := u.f.get(e.ino)
		node := Node{Path: dir.Join(e.name), Stat: u.f.statOf(e.name, child), Target: child.target}
		if child.kind == shoal.KindFile {
			node.Content = child.content.text()
		}
		*nodes = append(*nodes, node)
		if child.kind == shoal.KindFolder {
			u.collect(node.Path, child, nodes)
		}
	}
}

// Dump prints Tree, one line for each path: kind, mode, path, and content, target or nothing. Two disks with equal dumps
// show the user the same, but for times and inodes.
func (u User) Dump() string {
	var b strings.Builder
	for _, n := range u.Tree() {
		switch n.Kind {
		case shoal.KindFile:
			fmt.Fprintf(&b, "file %04o %q %q\n", n.Mode, n.Path, n.Content)
		case shoal.KindFolder:
			fmt.Fprintf(&b, "folder %04o %q\n", n.Mode, n.Path)
		case shoal.KindSymlink:
			fmt.Fprintf(&b, "symlink %q %q\n", n.Path, n.Target)
		default:
			fmt.Fprintf(&b, "special %q\n", n.Path)
		}
	}
	return b.String()
}
