//go:build linux

package sdnotify

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// manager stands in for systemd.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

func hear(t *testing.T, c *net.UnixConn, want string) {
	t.Helper()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("%q, %v, want %q", buf[:n], err, want)
	}
}

func TestTheServiceManagerIsTold(t *testing.T) {
	c := manager(t)
	for _, state := range []string{Ready, Stopping} {
		if err := Tell(state); err != nil {
			t.Fatal(err)
		}
		hear(t, c, state)
	}
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Watchdog(ctx, func() bool { return true }) }() // ends with ctx
	hear(t, c, alive)
	hear(t, c, alive)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	if err := Tell(Ready); err != nil {
		t.Fatal(err)
	}
	if err := Watchdog(t.Context(), func() bool { return true }); err != nil {
		t.Fatal(err)
	}
}
