package packstore

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"sync"
)

var (
	errKilled = errors.New("the machine has stopped")
	errFull   = errors.New("no space left on the fake disk")
	errSync   = errors.New("fsync failed")
)

// fakeDisk is a directory in memory that loses what was not synced. Its properties:
//
//   - writes are visible at once; a crash keeps any subset of those after the last sync, the last sectors of each possibly missing
//   - names are visible at once; a crash keeps any subset of creations, removals and renames after the last syncDir
//   - it is full after room bytes, counted over all files; a write that does not fit is cut short
//   - after stopAt more operations that change something, everything fails
type fakeDisk struct {
	mu      sync.Mutex
	names   map[string]*fakeFile // guarded by mu
	durable map[string]*fakeFile // guarded by mu: names as of the last syncDir
	room    int64                // guarded by mu; 0 means no limit
	stopAt  int                  // guarded by mu; 0 means never
	badSync bool                 // guarded by mu: file syncs fail
}

type fakeFile struct {
	data    []byte
	durable []byte
	changes []fakeWrite // since the last sync
}

// fakeWrite is a write, or with cut set a truncation to at.
type fakeWrite struct {
	at   int64
	data []byte
	cut  bool
}

func newFakeDisk() *fakeDisk {
	return &fakeDisk{names: make(map[string]*fakeFile), durable: make(map[string]*fakeFile)}
}

// change counts one operation. d.mu is held.
func (d *fakeDisk) change() error {
	if d.stopAt < 0 {
		return errKilled
	}
	if d.stopAt > 0 {
		if d.stopAt--; d.stopAt == 0 {
			d.stopAt = -1
		}
	}
	return nil
}

// crash returns the disk as another process finds it after the machine has stopped.
func (d *fakeDisk) crash(rng *rand.Rand) *fakeDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newFakeDisk()
	keep := maps.Clone(d.durable)
	for name, f := range d.names {
		if d.durable[name] != f && rng.IntN(2) == 0 {
			keep[name] = f
		}
	}
	for name := range d.durable {
		if d.names[name] == nil && rng.IntN(2) == 0 {
			delete(keep, name)
		}
	}
	for name, f := range keep {
		data := f.crash(rng)
		after.names[name] = &fakeFile{data: data, durable: bytes.Clone(data)}
	}
	after.durable = maps.Clone(after.names)
	return after
}

// crash returns what is left of a file.
func (f *fakeFile) crash(rng *rand.Rand) []byte {
	const sector = 512
	data := bytes.Clone(f.durable)
	for _, w := range f.changes {
		switch {
		case rng.IntN(3) == 0:
		case w.cut:
			data = resize(data, w.at)
		default:
			kept := w.data
			if rng.IntN(2) == 0 {
				kept = kept[:rng.IntN(len(kept)/sector+1)*sector]
			}
			data = resize(data, max(int64(len(data)), w.at+int64(len(kept))))
			copy(data[w.at:], kept)
		}
	}
	return data
}

func resize(data []byte, n int64) []byte {
	if n <= int64(len(data)) {
		return data[:n]
	}
	return append(data, make([]byte, n-int64(len(data)))...)
}

func (d *fakeDisk) list() (map[string]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sizes := make(map[string]int64)
	for name, f := range d.names {
		sizes[name] = int64(len(f.data))
	}
	return sizes, nil
}

func (d *fakeDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &fakeHandle{disk: d, file: f}, nil
}

func (d *fakeDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return nil, err
	}
	if d.names[name] != nil {
		return nil, fs.ErrExist
	}
	f := &fakeFile{}
	d.names[name] = f
	return &fakeHandle{disk: d, file: f}, nil
}

func (d *fakeDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.names, name)
	return nil
}

func (d *fakeDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	if d.names[to] != nil {
		return fs.ErrExist
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *fakeDisk) syncDir() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	d.durable = maps.Clone(d.names)
	return nil
}

// fakeHandle is an open fakeFile.
type fakeHandle struct {
	disk   *fakeDisk
	file   *fakeFile
	closed bool // guarded by disk.mu
}

func (h *fakeHandle) ReadAt(p []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	if at >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.file.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *fakeHandle) WriteAt(p []byte, at int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.change(); err != nil || h.closed {
		return 0, errors.Join(err, fs.ErrClosed)
	}
	n := len(p)
	if h.disk.room > 0 {
		used := int64(0)
		for _, f := range h.disk.names {
			used += int64(len(f.data))
		}
		grows := max(0, at+int64(n)-int64(len(h.file.data)))
		n -= int(min(int64(n), max(0, used+grows-h.disk.room)))
	}
	h.file.data = resize(h.file.data, max(int64(len(h.file.data)), at+int64(n)))
	copy(h.file.data[at:], p[:n])
	h.file.changes = append(h.file.changes, fakeWrite{at: at, data: bytes.Clone(p[:n])})
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func (h *fakeHandle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.change(); err != nil {
		return err
	}
	h.file.data = resize(h.file.data, size)
	h.file.changes = append(h.file.changes, fakeWrite{at: size, cut: true})
	return nil
}

func (h *fakeHandle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if err := h.disk.change(); err != nil {
		return err
	}
	if h.disk.badSync {
		return errSync
	}
	h.file.durable, h.file.changes = bytes.Clone(h.file.data), nil
	return nil
}

func (h *fakeHandle) Close() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.closed = true
	return nil
}

func (h *fakeHandle) size() (int64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return int64(len(h.file.data)), nil
}
