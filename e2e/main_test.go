//go:build linux

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

// What the command line of the tests says.
var (
	long = flag.Bool("long", false, "full sizes and counts; takes many minutes")
	keep = flag.Bool("keep", false, "leave the folders of failed tests behind")
	mute = flag.Bool("mute", false, "do not print the daemons' logs of failed tests")
	dump = flag.Bool("dump", false, "print what every goroutine of a failed test's daemons was doing, and their whole logs")
	tool = flag.String("program", "", "test this program instead of building one")
	base = flag.String("dir", "", "where devices keep what they have (default: in memory in short runs if there is plenty, else the temporary folder)")
	// patience is how long anything may take that should take a moment.
	patience = flag.Duration("patience", 0, "how long a wait may last (default 1m, and 10m in long runs)")
)

// program is the path of the program under test.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// Other users must be able to run the program.
	dir, err := os.MkdirTemp("", "shoal-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o755)
	}
	if program = *tool; err == nil && program == "" {
		program, err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if *base == "" && !*long && plenty(inMemory) {
		*base = inMemory
	}
	if *patience == 0 {
		*patience = choose(time.Minute, 10*time.Minute)
	}
	return s3test.Main(m)
}

// inMemory is a file system that waits for no disk: short runs show what is right, long ones what a disk does to it.
const inMemory = "/dev/shm"

// plenty tells whether a file system has far more room than short runs take, and the machine as much memory.
func plenty(dir string) bool {
	const enough = 8 * gib
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return false
	}
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(raw), "MemAvailable:")
	var kilobytes uint64
	_, err = fmt.Sscan(rest, &kilobytes)
	return err == nil && kilobytes<<10 >= enough
}

// choose returns the full size or count in long runs.
func choose[T any](short, full T) T {
	if *long {
		return full
	}
	return short
}

// beside lets a test run beside others; not in long runs, whose sizes need the machine for themselves.
func beside(t *testing.T) {
	if !*long {
		t.Parallel()
	}
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// testContext is what tests that need more than their own context use in cleaning up.
func testContext() context.Context { return context.Background() }
