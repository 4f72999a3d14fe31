package disk

import "golang.org/x/sys/unix"

// Uncache has the system forget what it keeps of the content in memory, so that the next Read asks the disk itself. What was not written out yet stays. It is no
// part of File, since other systems have nothing like it.
func (f *file) Uncache() error {
	err := retry(func() error { return unix.Fadvise(int(f.f.Fd()), 0, 0, unix.FADV_DONTNEED) })
	return f.fault("uncache", err)
}
