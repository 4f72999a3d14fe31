package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Names inside a home that belong to this package.
const (
	SocketName = "control.sock"
	lockName   = "control.lock"
	// bindPattern names the private directory in which a socket is made before it gets its name.
	bindPattern = ".control-*"
)

// errLocked is returned by tryLock when another process holds the lock.
var errLocked = errors.New("locked by another process")

// A process that only looks (Client.WaitStopped) holds the lock for a moment; OpenHome does not mistake it for a daemon.
const (
	lockPatience = time.Second
	lockPause    = 20 * time.Millisecond
)

// Home is a home that this process uses alone. Make it with OpenHome before anything in it is opened, and close it last.
type Home struct {
	dir  string
	lock *os.File

	mu       sync.Mutex // guards below
	listener *socketListener
}

// OpenHome makes the directory dir (mode 0700) if it is absent and takes it for this process. When another process has
// it, the error is CodeFailed and says so.
func OpenHome(dir string) (*Home, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("home %s: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(abs, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of home: %w", err)
	}
	if err := lockPatiently(lock); err != nil {
		lock.Close()
		if errors.Is(err, errLocked) {
			return nil, Errorf(CodeFailed, "Shoal is already running with home %s", abs)
		}
		return nil, fmt.Errorf("lock home: %w", err)
	}
	// The number is for people who look; nothing reads it.
	if lock.Truncate(0) == nil {
		_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Home{dir: abs, lock: lock}, nil
}

// lockPatiently takes the lock for writing. It waits for up to lockPatience, for a client may be looking.
func lockPatiently(lock *os.File) error {
	for waited := time.Duration(0); ; waited += lockPause {
		err := tryLock(lock, true)
		if !errors.Is(err, errLocked) || waited >= lockPatience {
			return err
		}
		<-time.After(lockPause)
	}
}

// Dir returns the absolute path of the home.
func (h *Home) Dir() string { return h.dir }

// Listen makes the control socket. One that a dead process left is replaced; that a living one is behind it cannot be, for
// this process holds the home. The listener's Close removes the socket.
func (h *Home) Listen() (net.Listener, error) {
	path := filepath.Join(h.dir, SocketName)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket && !isOddSocket(info) {
		return nil, Errorf(CodeFailed, "%s is in the way and is no socket", path)
	}
	if err := h.removeLeftovers(); err != nil {
		return nil, err
	}
	l, err := listenUnix(h.dir)
	if err != nil {
		return nil, fmt.Errorf("make control socket: %w", err)
	}
	listener := &socketListener{Listener: l, path: path}
	h.mu.Lock()
	h.listener = listener
	h.mu.Unlock()
	return listener, nil
}

// removeLeftovers clears what a process left that died while it made a socket.
func (h *Home) removeLeftovers() error {
	list, err := os.ReadDir(h.dir)
	if err != nil {
		return fmt.Errorf("read home: %w", err)
	}
	for _, item := range list {
		if ok, _ := filepath.Match(bindPattern, item.Name()); ok && item.IsDir() {
			if err := os.RemoveAll(filepath.Join(h.dir, item.Name())); err != nil {
				return fmt.Errorf("clear home: %w", err)
			}
		}
	}
	return nil
}

// Close closes the listener, if there is one, and gives the home back. It may be called twice.
func (h *Home) Close() error {
	h.mu.Lock()
	listener, lock := h.listener, h.lock
	h.listener, h.lock = nil, nil
	h.mu.Unlock()
	var errs []error
	if listener != nil {
		errs = append(errs, listener.Close())
	}
	if lock != nil {
		errs = append(errs, lock.Close())
	}
	return errors.Join(errs...)
}

// socketListener removes its socket when it is closed.
type socketListener struct {
	net.Listener
	path string

	once sync.Once
	err  error // set once
}

// Close may be called twice.
func (l *socketListener) Close() error {
	l.once.Do(func() {
		err := os.Remove(l.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		l.err = errors.Join(l.Listener.Close(), err)
	})
	return l.err
}

// homeInUse tells whether a process holds the home.
func homeInUse(dir string) (bool, error) {
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Close()
	err = tryLock(lock, false)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}
