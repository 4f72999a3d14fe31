package control

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openHome(t *testing.T, dir string) *Home {
	t.Helper()
	h, err := OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func newClient(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := NewClient(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAHomeIsUsedByOneProcessAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "home")
	h := openHome(t, dir)
	if _, err := OpenHome(dir); CodeOf(err) != CodeFailed || !strings.Contains(err.Error(), "already running") {
		t.Errorf("opened twice: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	openHome(t, dir)
}

func TestAHomeIsForItsUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	openHome(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
}

func TestTheSocketIsForItsUserOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := openHome(t, dir).Listen(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
}

func TestClosingTheHomeRemovesTheSocket(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	l, err := h.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 || names[0].Name() != lockName {
		t.Errorf("left in the home: %v (%v)", names, err)
	}
}

func TestWhatADeadProcessLeftIsReplaced(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, SocketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	if err := os.Mkdir(filepath.Join(dir, ".control-1234"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := newClient(t, dir).Status(t.Context()); CodeOf(err) != CodeNotRunning {
		t.Errorf("a stale socket: %v", err)
	}
	if _, err := openHome(t, dir).Listen(); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, bindPattern)); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

func TestAFileThatIsNoSocketIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, SocketName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openHome(t, dir).Listen(); err == nil {
		t.Error("it was replaced")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "mine" {
		t.Errorf("now it holds %q (%v)", got, err)
	}
}

func TestAnAbsentHomeIsNotRunning(t *testing.T) {
	c := newClient(t, filepath.Join(t.TempDir(), "nothing"))
	_, err := c.Status(t.Context())
	if CodeOf(err) != CodeNotRunning || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v", err)
	}
	if err := c.WaitStopped(t.Context()); err != nil {
		t.Errorf("waiting for it to stop: %v", err)
	}
}

func TestWaitStoppedReturnsWhenTheHomeIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	h := openHome(t, dir)
	c := newClient(t, dir)
	short, cancel := context.WithTimeout(t.Context(), 3*stopPause)
	defer cancel()
	if err := c.WaitStopped(short); CodeOf(err) != CodeTimeout {
		t.Errorf("while it is used: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- c.WaitStopped(t.Context()) }()
	h.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for ever")
	}
}

// Whoever looks whether a home is used must not keep a daemon from starting.
func TestLookingAtAHomeDoesNotKeepItFromBeingOpened(t *testing.T) {
	dir := t.TempDir()
	openHome(t, dir).Close()
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := tryLock(lock, false); err != nil {
		t.Fatal(err)
	}
	looked := time.AfterFunc(3*lockPause, func() { lock.Close() })
	defer looked.Stop()
	openHome(t, dir)
}

func TestAHomeMayBeTooDeepForASocketAddress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 40))
	l, err := openHome(t, dir).Listen()
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.Close()
		}
		accepted <- err
	}()
	conn, err := newClient(t, dir).dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(filepath.Join(dir, SocketName)); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket is not in its home: %v", err)
	}
}
