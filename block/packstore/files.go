package packstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// files is the door to the directory of packs. Names are plain file names. Tests put a disk behind it that tears, fills up and
// forgets what was not synced.
type files interface {
	list() (map[string]int64, error)  // regular files and their sizes
	open(name string) (file, error)   // for reading and writing; fs.ErrNotExist
	create(name string) (file, error) // must not exist; fs.ErrExist
	remove(name string) error         // fs.ErrNotExist
	rename(from, to string) error     // to must not exist
	syncDir() error                   // makes names durable
}

// file is one pack. ReadAt and WriteAt may run at once; after Close they return fs.ErrClosed.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	size() (int64, error)
}

// osFiles is a directory of the operating system.
type osFiles struct{ dir string }

func (d osFiles) list() (map[string]int64, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(entries))
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		st, err := e.Info()
		if err != nil {
			return nil, err
		}
		sizes[e.Name()] = st.Size()
	}
	return sizes, nil
}

func (d osFiles) open(name string) (file, error) {
	return osFileOf(os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR, 0))
}

func (d osFiles) create(name string) (file, error) {
	return osFileOf(os.OpenFile(filepath.Join(d.dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}

func (d osFiles) remove(name string) error { return os.Remove(filepath.Join(d.dir, name)) }

func (d osFiles) rename(from, to string) error {
	to = filepath.Join(d.dir, to)
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return os.Rename(filepath.Join(d.dir, from), to)
}

func (d osFiles) syncDir() error { return syncDir(d.dir) }

// osFile is an *os.File with its size.
type osFile struct{ *os.File }

func osFileOf(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}
