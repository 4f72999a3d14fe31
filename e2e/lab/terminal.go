//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Terminal is a person at a terminal: a program that runs on a pseudo terminal (pty(7)), what it showed, and what is typed. Safe for
// concurrent use.
type Terminal struct {
	master *os.File
	run    *running
	read   sync.WaitGroup

	mu    sync.Mutex
	shown strings.Builder // guarded by mu
}

// The size of the terminal: wide enough that no line breaks.
const (
	terminalRows    = 80
	terminalColumns = 250
)

// OpenTerminal runs cmd on a new terminal. Close it.
func OpenTerminal(cmd *exec.Cmd) (*Terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: terminalRows, Col: terminalColumns})
	}
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	t := &Terminal{master: master, run: launch(cmd)}
	if t.run.err != nil {
		master.Close()
		return nil, t.run.err
	}
	t.read.Go(t.watch)
	return t, nil
}

// watch collects what is shown until nobody holds the terminal any more.
func (t *Terminal) watch() {
	buf := make([]byte, 4<<10)
	for {
		n, err := t.master.Read(buf)
		t.mu.Lock()
		t.shown.Write(buf[:n])
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Shown returns everything that was shown so far, escape sequences included.
func (t *Terminal) Shown() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown.String()
}

// Type types a text.
func (t *Terminal) Type(text string) error {
	_, err := t.master.WriteString(text)
	return err
}

// Close ends the program as hanging up does, and returns when it has ended.
func (t *Terminal) Close() error {
	if !t.run.over() {
		_ = unix.Kill(t.run.pid, unix.SIGTERM)
	}
	<-t.run.ended
	err := t.master.Close()
	t.read.Wait()
	return err
}
