//go:build crashpoints

package crashpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// What the environment of this process asks for; fixed at start.
var (
	target string // where to die; empty: nowhere
	left   atomic.Int64
	list   *os.File // nil: nothing is listed
)

func init() {
	name, count, counted := strings.Cut(os.Getenv("SHOAL_CRASH_AT"), "#")
	times := int64(1)
	if counted {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 {
			panic("crashpoint: SHOAL_CRASH_AT wants NAME or NAME#K, K from 1")
		}
		times = n
	}
	target = name
	left.Store(times)
	if path := os.Getenv("SHOAL_CRASH_LIST"); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			panic("crashpoint: " + err.Error())
		}
		list = f
	}
}

// Here marks a point, and is where the process ends if it was told so. Safe for concurrent use.
func Here(name string) {
	if list != nil {
		if _, err := list.WriteString(name + "\n"); err != nil { // one write each, so that lines of two processes don't mix
			panic("crashpoint: " + err.Error())
		}
	}
	if name == target && left.Add(-1) == 0 {
		die()
	}
}

// die ends the process like kill -9: nothing is flushed, nothing deferred runs.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic("crashpoint: " + err.Error())
	}
	select {} // until the signal has arrived
}
