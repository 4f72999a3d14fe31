//go:build unix

package disk

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// kinds says which of our words each answer of the system is told by; fs.ErrNotExist, fs.ErrExist, fs.ErrPermission
// and errors.ErrUnsupported are found in the answer itself (syscall.Errno.Is).
var kinds = map[error]error{
	unix.ENOTDIR:      ErrNotFolder,
	unix.ELOOP:        ErrNotFolder,
	unix.EISDIR:       ErrNotFile,
	unix.ENOTEMPTY:    ErrNotEmpty,
	unix.EXDEV:        ErrCrossDevice,
	unix.EBUSY:        ErrInUse,
	unix.ETXTBSY:      ErrInUse,
	unix.ENAMETOOLONG: ErrName,
	unix.EILSEQ:       ErrName,
	unix.ENOSPC:       ErrNoSpace,
	unix.EDQUOT:       ErrNoSpace,
	unix.EFBIG:        ErrTooBig,
	unix.EROFS:        ErrReadOnly,
	unix.EIO:          ErrIO,
	unix.EINVAL:       fs.ErrInvalid,
}

func classify(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if kind, ok := kinds[errno]; ok {
		return &kindError{kind, errno}
	}
	return err
}

// nameError is for operations that put a name somewhere: EINVAL of these means that the file system refuses the name, as
// FAT does with "a:b".
func nameError(err error) error {
	if err == unix.EINVAL {
		return unix.EILSEQ
	}
	return err
}
