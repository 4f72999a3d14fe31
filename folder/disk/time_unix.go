//go:build linux || darwin

package disk

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// nanoseconds counts from 1970, cut off at the limits of int64.
func nanoseconds(ts unix.Timespec) int64 {
	sec, nsec := int64(ts.Sec), int64(ts.Nsec)
	const limit = math.MaxInt64/int64(time.Second) - 1
	switch {
	case sec > limit:
		return math.MaxInt64
	case sec < -limit:
		return math.MinInt64
	}
	return sec*int64(time.Second) + nsec
}
