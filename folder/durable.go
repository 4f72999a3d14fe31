package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
)

// syncEach is up to how many files are made durable one by one; more take one sync of the file system.
const syncEach = 4

// syncContents makes the files durable that are about to be put in place, with their modes and times.
func (e *Engine) syncContents(items []*workItem) error {
	var files []string
	for _, it := range items {
		if (it.Kind == plan.Put || it.Kind == plan.Swap) && it.want.Kind == shoal.KindFile {
			files = append(files, it.temp)
		}
	}
	if len(files) > syncEach {
		return e.FS.SyncAll()
	}
	for _, p := range files {
		if err := syncFile(e.FS, p); err != nil {
			return fmt.Errorf("make %s durable: %w", p, err)
		}
	}
	return nil
}

// syncMeta makes modes and times durable that were set in place. A base that knows of them when the disk does not would make a change of a user out of a
// power cut.
func (e *Engine) syncMeta(items []*workItem) error {
	var changed []*workItem
	for _, it := range items {
		if it.inPlace && it.want.Kind != shoal.KindSymlink {
			changed = append(changed, it)
		}
	}
	if len(changed) > syncEach {
		return e.FS.SyncAll()
	}
	for _, it := range changed {
		sync := e.FS.SyncDir
		if it.want.Kind == shoal.KindFile {
			sync = func(p string) error { return syncFile(e.FS, p) }
		}
		err := sync(string(it.Path))
		if err != nil && !isNotExist(err) && !errors.Is(err, disk.ErrNotFile) { // a user has put something else there: the next scan sees it
			return fmt.Errorf("make the mode and time of %s durable: %w", it.Path, err)
		}
	}
	return nil
}

func syncFile(fsys disk.FS, p string) error {
	f, err := fsys.Reopen(p)
	if errors.Is(err, fs.ErrPermission) {
		return fsys.SyncAll() // the wanted mode forbids us to write
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (e *Engine) syncNames(dirs map[shoal.Path]bool) error {
	if len(dirs) > syncEach {
		return e.FS.SyncAll()
	}
	for _, d := range slices.SortedFunc(maps.Keys(dirs), shoal.ComparePaths) {
		if err := e.FS.SyncDir(string(d)); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}
