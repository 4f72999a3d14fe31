//go:build linux

package lab

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Wire returns the bytes that went over the loopback of the network namespace that the process pid lives in, headers included. What
// others do there is counted too, so it is exact only in a namespace of its own, and else an upper bound.
func Wire(pid int) (int64, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", "dev"))
	if err != nil {
		return 0, err
	}
	in, _, err := counters(string(raw), "lo")
	return in, err
}

// counters reads the bytes in and out of an interface from the text of /proc/net/dev (proc(5)).
func counters(table, device string) (in, out int64, err error) {
	for line := range strings.Lines(table) {
		name, rest, ok := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !ok || strings.TrimSpace(name) != device || len(fields) < 9 {
			continue
		}
		if in, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
			return 0, 0, err
		}
		out, err = strconv.ParseInt(fields[8], 10, 64)
		return in, out, err
	}
	return 0, 0, fmt.Errorf("there is no network interface %s", device)
}

// clockTicks is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTicks = 100

// CPU returns the processor time that a running process and the children it waited for have used so far.
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold blanks; what follows it does not. Fields 14 to 17 are times, in ticks.
	_, rest, _ := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, fmt.Errorf("read processor time of %d: the line is too short", pid)
	}
	var ticks int64
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

// PeakMemory returns the most resident bytes that a running process ever had.
func PeakMemory(pid int) (int64, error) { return memory(pid, "VmHWM:") }

// Memory returns the resident bytes of a running process that no file stands behind.
func Memory(pid int) (int64, error) { return memory(pid, "RssAnon:") }

// memory reads a line of /proc/PID/status.
func memory(pid int, name string) (int64, error) {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("read memory of %d: no line %s", pid, name)
}

// Descriptors returns how many files, sockets and the like a running process has open.
func Descriptors(pid int) (int, error) {
	list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	return len(list), err
}

// OpenFiles tells what a running process has open, and how many of each. Numbers within a name are left out.
func OpenFiles(pid int) (map[string]int, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	open := map[string]int{}
	for _, e := range list {
		if what, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			open[digits.ReplaceAllString(what, "#")]++
		}
	}
	return open, nil
}

var digits = regexp.MustCompile("[0-9]+")

// Ports that FreePort hands out lie below those that the kernel gives to outgoing connections, so that a daemon finds its port free
// again after a restart.
const (
	firstPort = 10000
	lastPort  = 32000
	// portsApart leaves room behind each port: a vault gives its tenants those that follow its own, two to each.
	portsApart  = 16
	portsToGive = (lastPort - firstPort) / portsApart
)

// nextPort counts the ports that were looked at. It begins anywhere, so that programs that run side by side seldom look at the same.
var nextPort atomic.Int64

func init() { nextPort.Store(rand.Int64N(portsToGive)) }

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on, nor is told to listen on the few behind it. It returns none twice before all
// others: who was given one need not listen yet, and listens no more while it restarts.
func FreePort() (int, error) {
	var last error
	for range 100 {
		port := firstPort + portsApart*int(nextPort.Add(1)%portsToGive)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}
