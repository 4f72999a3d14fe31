//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Line is a long cable between two spaces: what goes in at one end comes out at the other after a delay, and only so much fits in a
// second. It stands in for the kernel's netem, which many machines lack.
type Line struct {
	ends    [2]*os.File // tun devices
	wg      sync.WaitGroup
	dropped atomic.Int64
}

// Dropped returns how many packets found no room so far.
func (l *Line) Dropped() int64 { return l.dropped.Load() }

// LineQueue is how long a packet may wait for its turn, beyond the delay, before it is dropped, as a router's queue does.
const LineQueue = 200 * time.Millisecond

// maxPacket is more than a tun device with its usual MTU ever gives.
const maxPacket = 2048

// tunQueue is how many packets the system keeps of what the line has not read yet; its own limit, 500, is 30 ms of a fast line.
const tunQueue = 20000

// packet is on its way.
type packet struct {
	due  time.Time
	data []byte
}

// Lay joins two spaces by a Line with a delay each way and a rate in megabits a second each way. Close it before the Network.
func (n *Network) Lay(a, b int, delay time.Duration, megabits int) (*Line, error) {
	l := &Line{}
	for i, s := range [][2]int{{a, b}, {b, a}} {
		f, err := openTun(n.names[s[0]], end(s[1]))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lay a line: %w", err), l.Close())
		}
		l.ends[i] = f
		for _, args := range []string{
			fmt.Sprintf("-n %s addr replace %s/30 dev %s", n.names[s[0]], Addr(s[0], s[1]), end(s[1])),
			// Where nobody reads for a moment packets wait, as they would in a cable: the line itself says how many may.
			fmt.Sprintf("-n %s link set %s txqueuelen %d up", n.names[s[0]], end(s[1]), tunQueue),
		} {
			if err := ip(args); err != nil {
				return nil, errors.Join(err, l.Close())
			}
		}
	}
	perByte := 8 * time.Second / time.Duration(megabits) / 1_000_000 // ns
	for i := range l.ends {
		queue := make(chan packet, int((delay+2*LineQueue)/(60*perByte))) // more than can be on the way
		l.wg.Go(func() { l.take(l.ends[i], queue, delay, perByte) })
		l.wg.Go(func() { l.give(l.ends[1-i], queue) })
	}
	return l, nil
}

// take reads packets at one end until that is closed.
func (l *Line) take(from *os.File, queue chan<- packet, delay, perByte time.Duration) {
	defer close(queue)
	var free time.Time // when the line has sent what is queued
	buf := make([]byte, maxPacket)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		if free.Sub(now) > LineQueue {
			l.dropped.Add(1)
			continue
		}
		free = free.Add(time.Duration(n) * perByte)
		select {
		case queue <- packet{due: free.Add(delay), data: append([]byte(nil), buf[:n]...)}:
		default:
			l.dropped.Add(1)
		}
	}
}

// give writes packets at the other end when they are due.
func (l *Line) give(to *os.File, queue <-chan packet) {
	for p := range queue {
		time.Sleep(time.Until(p.due))
		_, _ = to.Write(p.data) // what does not arrive is sent again by TCP
	}
}

// Close takes the line away.
func (l *Line) Close() error {
	var errs []error
	for _, f := range l.ends {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	l.wg.Wait()
	return errors.Join(errs...)
}

// openTun makes a tun device in a namespace. The thread that entered the namespace ends with its goroutine.
func openTun(space, name string) (*os.File, error) {
	type answer struct {
		f   *os.File
		err error
	}
	done := make(chan answer)
	go func() { // waited for below
		runtime.LockOSThread()
		f, err := openTunHere(space, name)
		done <- answer{f, err}
	}()
	a := <-done
	return a.f, a.err
}

func openTunHere(space, name string) (*os.File, error) {
	ns, err := os.Open("/run/netns/" + space)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter namespace %s: %w", space, err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make device %s: %w", name, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}
