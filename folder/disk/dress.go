package disk

import "github.com/shoalmesh/shoal"

// unchangedSince tells whether a is the very thing that was describes, in the same state. Name and number of links don't count.
func (a Stat) unchangedSince(was Stat) bool {
	a.Name, a.Links = was.Name, was.Links
	return a == was
}

// dressByName is FS.Dress where writers can't be kept out meanwhile.
func dressByName(d FS, p string, was Stat, mode uint32, mtime int64) (now Stat, sure bool, err error) {
	if now, err = d.Lstat(p); err != nil {
		return Stat{}, false, err
	}
	if now.Kind != shoal.KindFile {
		return Stat{}, false, pathError("set mode and time", p, ErrNotFile)
	}
	if !now.unchangedSince(was) {
		return Stat{}, false, pathError("set mode and time", p, ErrChanged)
	}
	if now.Mode != mode {
		if err := d.Chmod(p, mode); err != nil {
			return Stat{}, false, err
		}
	}
	if now.MTime != mtime {
		if err := d.Chtimes(p, mtime); err != nil {
			return Stat{}, false, err
		}
	}
	if now, err = d.Lstat(p); err == nil && now.Inode != was.Inode {
		err = pathError("set mode and time", p, ErrChanged)
	}
	return now, false, err
}
