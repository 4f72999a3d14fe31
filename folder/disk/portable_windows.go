package disk

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// nameFits refuses paths with names that Windows would read as something else: separators, streams ("a:b"), patterns,
// names that lose their last dot or space, and bytes that do not survive the way to UTF-16 and back.
func nameFits(p string) bool {
	for name := range strings.SplitSeq(p, "/") {
		if strings.ContainsAny(name, "\\:*?\"<>|") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
			return false
		}
		for i := range len(name) {
			if name[i] < ' ' {
				return false
			}
		}
		wide, err := syscall.UTF16FromString(name)
		if err != nil || syscall.UTF16ToString(wide) != name {
			return false
		}
	}
	return true
}

// addSystemStat adds nothing: inode and times of change would cost opening each file.
func addSystemStat(*Stat, fs.FileInfo) {}

// syncFolder does nothing: NTFS writes names to its journal, and handles of folders cannot be flushed without the right to write.
func syncFolder(*os.File) error { return nil }

func diskSpace(path string) (free, total int64, err error) {
	wide, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, err
	}
	var f, t, all uint64
	if err := windows.GetDiskFreeSpaceEx(wide, &f, &t, &all); err != nil {
		return 0, 0, err
	}
	return int64(f), int64(t), nil
}

// kinds says which of our words each answer of the system is told by; see errno_unix.go.
var kinds = map[windows.Errno]error{
	windows.ERROR_DIRECTORY:            ErrNotFolder,
	windows.ERROR_DIR_NOT_EMPTY:        ErrNotEmpty,
	windows.ERROR_NOT_SAME_DEVICE:      ErrCrossDevice,
	windows.ERROR_SHARING_VIOLATION:    ErrInUse,
	windows.ERROR_LOCK_VIOLATION:       ErrInUse,
	windows.ERROR_INVALID_NAME:         ErrName,
	windows.ERROR_FILENAME_EXCED_RANGE: ErrName,
	windows.ERROR_DISK_FULL:            ErrNoSpace,
	windows.ERROR_HANDLE_DISK_FULL:     ErrNoSpace,
	windows.ERROR_DISK_QUOTA_EXCEEDED:  ErrNoSpace,
	windows.ERROR_FILE_TOO_LARGE:       ErrTooBig,
	windows.ERROR_WRITE_PROTECT:        ErrReadOnly,
	windows.ERROR_IO_DEVICE:            ErrIO,
	windows.ERROR_CRC:                  ErrIO,
	windows.ERROR_PRIVILEGE_NOT_HELD:   errors.ErrUnsupported, // symlinks need it
}

func classify(err error) error {
	errno, ok := errors.AsType[windows.Errno](err)
	if !ok {
		return err
	}
	if kind, ok := kinds[errno]; ok {
		return &kindError{kind, errno}
	}
	return err
}
