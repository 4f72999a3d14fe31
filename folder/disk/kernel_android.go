package disk

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Android kills a program that makes a system call which its C library does not know (seccomp filter of bionic): no
// openat2, renameat2 and fchmodat2 here.

func chooseOpener(int) opener { return walkOpener }

func chmodNoFollow(int, string, uint32) error { return unix.ENOSYS }

func renameExclusive(int, string, int, string) error { return unix.ENOSYS }

func renameSwap(int, string, int, string) error { return unix.ENOSYS }

// procPath is a name for what fd has open.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
