// Package sdnotify tells systemd how a service stands: sd_notify(3), the protocol that Type=notify and WatchdogSec= are about. Where nothing
// listens, and on other systems, all of it does nothing.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The states that are told.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	alive    = "WATCHDOG=1"
)

// Tell sends a state to whoever $NOTIFY_SOCKET names, if anybody.
func Tell(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if rest, abstract := strings.CutPrefix(name, "@"); abstract {
		name = "\x00" + rest
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}

// Watchdog tells that the service is alive, twice in each time that systemd allows, as long as well returns true. It returns when ctx ends, at once
// if nobody watches.
func Watchdog(ctx context.Context, well func() bool) error {
	pause := watchdogPause()
	if pause == 0 {
		return nil
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if !well() {
				continue
			}
			if err := Tell(alive); err != nil {
				return err
			}
		}
	}
}

// watchdogPause is half of $WATCHDOG_USEC; 0: nobody watches this process.
func watchdogPause() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(us) * time.Microsecond / 2
}
