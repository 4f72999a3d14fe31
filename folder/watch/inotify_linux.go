package watch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal"
)

// watchMask is what is wanted of every folder. IN_EXCL_UNLINK: writes to files without a name do not matter.
const watchMask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB |
	unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF |
	unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// inotify is one run of a Watcher. It is used by one goroutine.
type inotify struct {
	w     *Watcher
	file  *os.File // in the runtime's poller, so that a deadline ends a read
	fd    int
	tree  tree
	walk  uint64 // number of the last complete walk
	left  *node  // where a name was moved away from, until it is seen arriving; nil: none
	moved uint32 // the cookie of that move
	blind int
	why   error
}

func (w *Watcher) run(ctx context.Context) error {
	in, err := w.open()
	if err != nil {
		return err
	}
	defer in.file.Close()
	wake := func() { _ = in.file.SetReadDeadline(time.Unix(1, 0)) }
	stop := context.AfterFunc(ctx, wake)
	defer stop()
	in.walkAll()
	w.serveRefresh(wake)
	defer w.serveRefresh(nil)
	return in.loop(ctx)
}

// open begins to watch the root alone.
func (w *Watcher) open() (*inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", w.root, limit(err))
	}
	in := &inotify{w: w, file: os.NewFile(uintptr(fd), "inotify"), fd: fd, tree: tree{byWD: map[int32]*node{}}}
	if err := in.watchRoot(); err != nil {
		return nil, errors.Join(err, in.file.Close())
	}
	return in, nil
}

// limit tells by our own word that the system's limits are reached.
func limit(err error) error {
	if err == unix.ENOSPC || err == unix.EMFILE || err == unix.ENFILE || err == unix.ENOMEM {
		return fmt.Errorf("%w (%w)", ErrLimit, err)
	}
	return err
}

func (in *inotify) watchRoot() error {
	wd, err := unix.InotifyAddWatch(in.fd, in.w.root, watchMask&^unix.IN_DONT_FOLLOW)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return fmt.Errorf("watch %s: %w (%w)", in.w.root, ErrRootGone, err)
	case err != nil:
		return fmt.Errorf("watch %s: %w", in.w.root, limit(err))
	}
	in.tree.root = &node{wd: int32(wd)}
	in.tree.byWD[int32(wd)] = in.tree.root
	return nil
}

// loop reads events until the end.
func (in *inotify) loop(ctx context.Context) error {
	buf := make([]byte, 64<<10) // at least one event with a name of 255 bytes; a burst in one call
	for {
		n, err := in.file.Read(buf)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			_ = in.file.SetReadDeadline(time.Time{})
			if ctx.Err() != nil { // ended between the two lines above
				return ctx.Err()
			}
		case err != nil:
			return fmt.Errorf("read events of %s: %w", in.w.root, err)
		}
		if in.w.takeStale() {
			in.walkAll()
		}
		if err := in.handle(buf[:n]); err != nil {
			in.w.markAll()
			return err
		}
	}
}

// handle takes the events in buf in order: inotify(7), struct inotify_event.
func (in *inotify) handle(buf []byte) error {
	lost := false
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		cookie := binary.NativeEndian.Uint32(buf[8:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if end > len(buf) {
			return fmt.Errorf("event of %d bytes in %d", end, len(buf))
		}
		name, _, _ := bytes.Cut(buf[unix.SizeofInotifyEvent:end], []byte{0})
		buf = buf[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			lost = true
			continue
		}
		if n := in.tree.byWD[wd]; n != nil {
			if mask&unix.IN_MOVED_FROM != 0 {
				in.left, in.moved = n, cookie
			}
			if err := in.event(n, mask, string(name)); err != nil {
				return err
			}
			if mask&unix.IN_MOVED_TO != 0 {
				in.arrived(cookie)
			}
		}
	}
	if lost {
		in.walkAll()
	}
	return nil
}

// event takes one event of the folder n.
func (in *inotify) event(n *node, mask uint32, name string) error {
	root := n == in.tree.root
	switch {
	case root && mask&(unix.IN_MOVE_SELF|unix.IN_DELETE_SELF|unix.IN_UNMOUNT|unix.IN_IGNORED) != 0:
		return fmt.Errorf("watch %s: %w", in.w.root, ErrRootGone)
	case mask&unix.IN_IGNORED != 0:
		in.tree.forget(n) // removed or unmounted, and its parent has said so
		return nil
	case mask&unix.IN_MOVE_SELF != 0:
		// The parents have had their say before: who is still detached has left the tree, or went where no watch is yet.
		if n.detached {
			in.unwatch(n)
		}
		return nil
	case name == "" && mask&unix.IN_UNMOUNT != 0, name == "" && mask&unix.IN_DELETE_SELF != 0:
		return nil // IN_IGNORED follows
	case root && name == shoal.ReservedName:
		return nil
	}
	return in.changed(n, mask, name)
}

// changed takes one event about what is in the folder n. An event without a name is about the attributes of n itself.
func (in *inotify) changed(n *node, mask uint32, name string) error {
	if mask&unix.IN_ISDIR != 0 {
		in.folderChanged(n, mask, name)
		return nil
	}
	switch {
	case mask&unix.IN_MODIFY != 0:
		n.setPending(name, true)
	case mask&unix.IN_CREATE != 0:
		n.setPending(name, in.willBeClosed(n, name))
	case mask&(unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		n.setPending(name, false)
	}
	in.mark(n)
	return nil
}

// willBeClosed guesses whether a file that just got its name is being written: not so special files, symlinks and second names.
func (in *inotify) willBeClosed(n *node, name string) bool {
	p, ok := in.tree.path(n)
	if !ok {
		return false
	}
	var st unix.Stat_t
	err := unix.Lstat(in.w.path(join(p, name)), &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1
}

// folderChanged takes one event about a folder in n, or about n itself if name is empty.
func (in *inotify) folderChanged(n *node, mask uint32, name string) {
	switch {
	case mask&(unix.IN_MOVED_FROM|unix.IN_DELETE) != 0:
		if c := n.children[name]; c != nil {
			in.tree.detach(c)
		}
		in.mark(n)
	case mask&(unix.IN_MOVED_TO|unix.IN_CREATE) != 0:
		p, ok := in.tree.path(n)
		if !ok {
			return // found again when its parent is walked
		}
		child := join(p, name)
		come := !in.w.skip(child) && in.walkFrom(n, name, child)
		in.mark(n)
		if come { // after its parent, so that its place is known
			in.w.mark(child, flags{deep: true, settled: true})
		}
	default:
		in.mark(n)
		if name == "" && n.parent != nil {
			in.mark(n.parent) // the parent's listing tells modes and times
		}
	}
}

// arrived says that the name of the move cookie has its new place: now both ends are known, and where it left is settled.
func (in *inotify) arrived(cookie uint32) {
	if n := in.left; n != nil && in.moved == cookie {
		in.left = nil
		in.mark(n)
	}
}

// mark reports n, if it is in the tree. While a name is between two places, the one that it left is not settled: who looked at it now would
// take the move for a deletion.
func (in *inotify) mark(n *node) {
	if p, ok := in.tree.path(n); ok {
		in.w.mark(p, flags{settled: len(n.pending) == 0 && n != in.left})
	}
}

// unwatch drops n and all in it with their watches.
func (in *inotify) unwatch(n *node) {
	for _, wd := range in.tree.drop(n) {
		_, _ = unix.InotifyRmWatch(in.fd, uint32(wd)) // it may have ended already
	}
}

// walkAll sets every watch that is missing, drops those of folders that are not in the tree any more, and reports All.
// It is for the start, and for when events were lost.
func (in *inotify) walkAll() {
	in.walk++
	in.blind, in.why = 0, nil
	in.tree.root.seen = in.walk
	in.descend(in.tree.root, "")
	var gone []*node
	for _, n := range in.tree.byWD {
		n.pending = nil
		if n.seen != in.walk {
			gone = append(gone, n)
		}
	}
	for _, n := range gone {
		in.tree.forget(n)
		_, _ = unix.InotifyRmWatch(in.fd, uint32(n.wd))
	}
	in.w.setBlind(in.blind, in.why)
	in.w.markAll()
}

// walkFrom watches the folder name in parent, whose path is p, and all below it. It is false if there is no such folder.
func (in *inotify) walkFrom(parent *node, name, p string) bool {
	n, err := in.add(parent, name, p)
	if err == nil {
		in.descend(n, p)
	}
	in.w.setBlind(in.blind, in.why)
	return !errors.Is(err, fs.ErrNotExist)
}

// descend watches everything below n, whose path is p. First the watch, then the listing: what comes between is in both.
func (in *inotify) descend(n *node, p string) {
	type place struct {
		n *node
		p string
	}
	for stack := []place{{n, p}}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		names, err := in.w.subfolders(at.p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			in.blind, in.why = in.blind+1, err
		}
		for _, name := range names {
			child := join(at.p, name)
			if in.w.skip(child) {
				continue
			}
			c, err := in.add(at.n, name, child)
			if err == nil {
				stack = append(stack, place{c, child})
			}
		}
	}
}

// add sets one watch. What went away meanwhile is no problem; what cannot be watched is counted.
func (in *inotify) add(parent *node, name, p string) (*node, error) {
	wd, err := unix.InotifyAddWatch(in.fd, in.w.path(p), watchMask)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return nil, fs.ErrNotExist
	case err != nil:
		in.blind, in.why = in.blind+1, fmt.Errorf("watch %s: %w", p, limit(err))
		return nil, in.why
	}
	n := in.tree.place(int32(wd), parent, name)
	n.seen = in.walk
	return n, nil
}
