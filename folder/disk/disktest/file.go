package disktest

import (
	"fmt"
	"io/fs"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
)

// Open implements disk.FS.
func (f *FS) Open(p string) (disk.File, error) {
	h, err := f.openHandle("open", p, mayRead)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Reopen implements disk.FS.
func (f *FS) Reopen(p string) (disk.WFile, error) {
	h, err := f.openHandle("reopen", p, mayRead|mayWrite)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (f *FS) openHandle(op, p string, bits uint32) (h *handle, err error) {
	err = f.do(op, p, func() error {
		n, err := f.walk(p)
		switch {
		case err != nil:
			return err
		case n.kind != shoal.KindFile:
			return disk.ErrNotFile
		}
		if err := allowed(n, bits); err != nil {
			return err
		}
		h = f.newHandle(n, p, bits&mayWrite != 0)
		return nil
	})
	return h, err
}

// Create implements disk.FS.
func (f *FS) Create(p string, size int64, mode uint32) (w disk.WFile, err error) {
	err = f.change("create", p, func() error {
		if size < 0 {
			return fmt.Errorf("size %d: %w", size, fs.ErrInvalid)
		}
		n, err := f.create(p, mode)
		if err != nil {
			return err
		}
		n.content.size = size
		w = f.newHandle(n, p, true)
		return nil
	})
	return w, err
}

func (f *FS) create(p string, mode uint32) (*inode, error) {
	pl, err := f.findFree(p)
	if err != nil {
		return nil, err
	}
	n := f.newInode(shoal.KindFile, mode, pl.dir.dev)
	f.name(pl, n)
	return n, nil
}

func (f *FS) newHandle(n *inode, p string, writes bool) *handle {
	f.open[n.ino]++
	if writes {
		f.writers[n.ino]++
	}
	return &handle{f: f, ino: n.ino, path: p, writes: writes}
}

// handle is an open file. It goes on leading to its inode, whatever names that has.
type handle struct {
	// set once
	f      *FS
	ino    uint64
	path   string
	writes bool
	user   bool // Fail is not asked

	// guarded by f.mu
	pos    int64
	closed bool
}

var (
	_ disk.File  = (*handle)(nil)
	_ disk.WFile = (*handle)(nil)
)

// do runs one operation on the open file.
func (h *handle) do(op string, fn func() error) error {
	if h.user {
		h.f.mu.Lock()
	} else if err := h.f.begin(op, h.path); err != nil {
		return err
	}
	defer h.f.mu.Unlock()
	if h.closed {
		return wrap(op, h.path, fs.ErrClosed)
	}
	return fn()
}

func (h *handle) node() *inode { return h.f.get(h.ino) }

func (h *handle) Read(b []byte) (n int, err error) {
	err = h.do("read", func() error {
		if len(b) == 0 {
			return nil
		}
		n, err = h.node().content.readAt(b, h.pos)
		h.pos += int64(n)
		if n > 0 {
			return nil
		}
		return err
	})
	return n, err
}

func (h *handle) ReadAt(b []byte, off int64) (n int, err error) {
	err = h.do("read", func() error {
		if off < 0 {
			return wrap("read", h.path, fs.ErrInvalid)
		}
		n, err = h.node().content.readAt(b, off)
		return err
	})
	return n, err
}

func (h *handle) WriteAt(b []byte, off int64) (n int, err error) {
	err = h.do("write", func() error {
		if err := h.f.write(h.ino, b, off, h.writes); err != nil {
			return wrap("write", h.path, err)
		}
		n = len(b)
		return nil
	})
	return n, err
}

// write changes content, wholly or not at all.
func (f *FS) write(ino uint64, b []byte, off int64, writes bool) error {
	if !writes {
		return fs.ErrPermission
	}
	if off < 0 {
		return fs.ErrInvalid
	}
	grow := f.get(ino).content.newPages(len(b), off) * pageSize
	if grow > 0 && f.used+grow > f.opts.Capacity {
		return disk.ErrNoSpace
	}
	f.now += int64(f.opts.Step)
	n := f.editUnsynced(ino)
	n.content.writeAt(b, off)
	f.used += grow
	f.touch(n)
	return nil
}

func (h *handle) Truncate(size int64) error {
	return h.do("truncate", func() error {
		if !h.writes {
			return wrap("truncate", h.path, fs.ErrPermission)
		}
		if size < 0 {
			return wrap("truncate", h.path, fs.ErrInvalid)
		}
		h.f.now += int64(h.f.opts.Step)
		h.f.truncate(h.ino, size)
		return nil
	})
}

func (f *FS) truncate(ino uint64, size int64) {
	n := f.editUnsynced(ino)
	before := n.content.pages.Len()
	n.content.truncate(size)
	f.used -= int64(before-n.content.pages.Len()) * pageSize
	f.touch(n)
}

func (h *handle) SetMeta(mode uint32, mtime int64) error {
	err := h.do("chmod", func() error {
		n := h.f.editUnsynced(h.ino)
		n.mode, n.ctime = h.f.modeFor(mode), h.f.round(h.f.now)
		return nil
	})
	if err != nil {
		return err
	}
	return h.do("chtimes", func() error {
		n := h.f.editUnsynced(h.ino)
		n.mtime, n.ctime = h.f.round(mtime), h.f.round(h.f.now)
		return nil
	})
}

func (h *handle) Sync() error {
	return h.do("sync", func() error {
		h.f.edit(h.ino).durable = nil
		h.f.dirty.Delete(h.ino)
		return nil
	})
}

func (h *handle) Stat() (st disk.Stat, err error) {
	err = h.do("fstat", func() error {
		st = h.f.statOf(shoal.Path(h.path).Name(), h.node())
		return nil
	})
	return st, err
}

func (h *handle) NextData(off int64) (start, end int64, err error) {
	err = h.do("nextdata", func() error {
		start, end, err = h.node().content.nextData(max(off, 0))
		return err
	})
	return start, end, err
}

// Close never fails but for a second time; Fail is not asked, so that a program that ends can always tidy up.
func (h *handle) Close() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.closed {
		return wrap("close", h.path, fs.ErrClosed)
	}
	h.closed = true
	h.f.open[h.ino]--
	if h.writes {
		h.f.writers[h.ino]--
	}
	h.f.release(h.ino)
	return nil
}
