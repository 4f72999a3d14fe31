//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal"
)

// Mkdir implements FS.
func (o *OS) Mkdir(p string, mode uint32) error {
	return o.at("mkdir", p, func(dir int, name string) error {
		if err := unix.Mkdirat(dir, name, mode&0o777); err != nil {
			return nameError(err)
		}
		o.changed.note(dir)
		o.changed.noteName(dir, name)
		// The umask may have taken bits away, and the sticky bits are not for mkdir.
		if err := chmodAt(dir, name, mode&0o7777); err != unix.EPERM {
			return err
		}
		return nil // it is ours: this file system has no such mode
	})
}

// Symlink implements FS.
func (o *OS) Symlink(target, p string) error {
	return o.at("symlink", p, func(dir int, name string) error {
		err := unix.Symlinkat(target, dir, name)
		if err == unix.EPERM {
			return unix.ENOTSUP // symlink(2): the file system has none
		}
		if err == nil {
			o.changed.note(dir)
		}
		return nameError(err)
	})
}

// Remove implements FS.
func (o *OS) Remove(p string) error {
	return o.at("remove", p, func(dir int, name string) error {
		err := unix.Unlinkat(dir, name, 0)
		// Linux says EISDIR of a folder; POSIX and macOS say EPERM, which may also mean what it says.
		if err == unix.EISDIR || err == unix.EPERM {
			if e := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); e != unix.ENOTDIR {
				err = e
			}
		}
		if err == unix.EEXIST {
			err = unix.ENOTEMPTY // rmdir(2) allows either
		}
		if err == nil {
			o.changed.note(dir)
		}
		return err
	})
}

// Rmdir implements FS.
func (o *OS) Rmdir(p string) error {
	return o.at("rmdir", p, func(dir int, name string) error {
		err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		if err == unix.EEXIST {
			err = unix.ENOTEMPTY // rmdir(2) allows either
		}
		if err == nil {
			o.changed.note(dir)
		}
		return err
	})
}

// Chmod implements FS.
func (o *OS) Chmod(p string, mode uint32) error {
	return o.at("chmod", p, func(dir int, name string) error {
		if err := chmodAt(dir, name, mode&0o7777); err != nil && (err != unix.EPERM || !isOurs(dir, name)) {
			return err
		}
		o.changed.noteName(dir, name)
		return nil
	})
}

// isOurs tells whether this user may change the mode of name. If that is refused all the same the file system has no such mode (FAT, exFAT), which is no
// error.
func isOurs(dir int, name string) bool {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false
	}
	return ownedByUs(&st)
}

func ownedByUs(st *unix.Stat_t) bool {
	me := unix.Geteuid()
	return me == 0 || int(st.Uid) == me
}

// Chtimes implements FS.
func (o *OS) Chtimes(p string, mtime int64) error {
	return o.at("chtimes", p, func(dir int, name string) error {
		if err := setMTime(dir, name, mtime); err != nil {
			return err
		}
		o.changed.noteName(dir, name)
		return nil
	})
}

// Rename implements FS.
func (o *OS) Rename(from, to string) error {
	if from == to {
		if _, err := o.Lstat(from); err != nil {
			return err
		}
		return pathError("rename", to, unix.EEXIST)
	}
	return o.at2("rename", from, to, func(fromDir int, fromName string, toDir int, toName string) error {
		err := renameExclusive(fromDir, fromName, toDir, toName)
		if errors.Is(err, errors.ErrUnsupported) || err == unix.EINVAL {
			err = renameChecked(fromDir, fromName, toDir, toName)
		}
		if err == unix.EEXIST && sameName(fromDir, fromName, toDir, toName) {
			err = unix.Renameat(fromDir, fromName, toDir, toName)
		}
		if err == nil {
			o.changed.note(fromDir)
			o.changed.note(toDir)
		}
		return nameError(err)
	})
}

// sameName tells whether two different names are one to this disk, as "a" and "A" are where case does not count: both
// lead to one thing, and that thing has no second name.
func sameName(dirA int, a string, dirB int, b string) bool {
	x, errX := lstatAt(dirA, a)
	y, errY := lstatAt(dirB, b)
	if errX != nil || errY != nil || !x.Same(y) || (dirA == dirB && a == b) {
		return false
	}
	return x.Links == 1 || x.Kind == shoal.KindFolder
}

// renameChecked is renameExclusive for file systems that have none: a file gets its new name as a hard link, which never
// replaces, and then loses the old one; where there are no hard links, and for folders, a look must do.
func renameChecked(fromDir int, from string, toDir int, to string) error {
	st, err := lstatAt(fromDir, from)
	if err != nil {
		return err
	}
	if st.Kind != shoal.KindFolder {
		err := unix.Linkat(fromDir, from, toDir, to, 0)
		if err == nil {
			return unix.Unlinkat(fromDir, from, 0)
		}
		if err == unix.EEXIST || err == unix.EXDEV || err == unix.ENOENT {
			return err
		}
	}
	_, err = lstatAt(toDir, to)
	if err == nil {
		return unix.EEXIST
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return unix.Renameat(fromDir, from, toDir, to)
}

func lstatAt(dir int, name string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Stat{}, err
	}
	return statOf(name, &st), nil
}

// Exchange implements FS.
func (o *OS) Exchange(a, b string) error {
	if a == b && a != "" {
		_, err := o.Lstat(a)
		return err
	}
	return o.at2("exchange", a, b, func(dirA int, nameA string, dirB int, nameB string) error {
		err := renameSwap(dirA, nameA, dirB, nameB)
		if err == unix.EINVAL || err == unix.ENOSYS {
			return unix.ENOTSUP // checkTwo leaves no other reason for EINVAL
		}
		if err == nil {
			o.changed.note(dirA)
			o.changed.note(dirB)
		}
		return err
	})
}
