//go:build unix

package s3store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The environment of a child process: what it works on.
const (
	childURL  = "SHOAL_S3STORE_URL"
	childDir  = "SHOAL_S3STORE_DIR"
	childFrom = "SHOAL_S3STORE_FROM"
)

// TestChildThatIsKilled is not a test: it is what the child processes of TestKilledProcessesLoseNothing run. It puts three blocks, syncs, prints the number behind them, and so
// on; now and then it compacts. The last block of each round is deleted in the next.
func TestChildThatIsKilled(t *testing.T) {
	if os.Getenv(childURL) == "" {
		t.Skip("runs in a child process only")
	}
	from, err := strconv.Atoi(os.Getenv(childFrom))
	must(t, err)
	r := &rig{t: t, url: os.Getenv(childURL)}
	c := r.config()
	c.Dir = os.Getenv(childDir)
	s := r.open(c)
	for n := from; n < from+3000; n += 3 {
		if n > from {
			must(t, s.Delete(t.Context(), one(n-1)))
		}
		puts(t, s, n, n+3)
		fmt.Println("synced", n+3)
		if n%10 == 0 {
			if _, err := s.Compact(t.Context(), 0.8); err != nil && !errors.Is(err, ErrHeld) {
				t.Fatal(err)
			}
		}
	}
}

// TestKilledProcessesLoseNothing lets two processes work on one bucket and kills one after the other at a random moment, each several times.
func TestKilledProcessesLoseNothing(t *testing.T) {
	r := newRig(t)
	self, err := os.Executable()
	must(t, err)
	type child struct {
		cmd   *exec.Cmd
		lines *bufio.Scanner
		from  int
		last  int // behind the last block that it said is durable
	}
	dirs := []string{r.config().Dir, r.config().Dir}
	start := func(i, from int) *child {
		cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestChildThatIsKilled$", "-test.count=1")
		cmd.Env = append(os.Environ(), childURL+"="+r.url, childDir+"="+dirs[i], childFrom+"="+strconv.Itoa(from))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		return &child{cmd: cmd, lines: bufio.NewScanner(out), from: from, last: from}
	}
	// next reads one line; false when the child has ended.
	next := func(c *child) bool {
		for c.lines.Scan() {
			if number, ok := strings.CutPrefix(c.lines.Text(), "synced "); ok {
				c.last, err = strconv.Atoi(number)
				must(t, err)
				return true
			}
			t.Log(c.lines.Text())
		}
		return false
	}
	var ended []*child
	running := []*child{start(0, 0), start(1, 10_000)}
	const kills = 6
	for k := range kills {
		for range 3 + k {
			for _, c := range running {
				if !next(c) {
					t.Fatal("a child ended by itself")
				}
			}
		}
		i := k % 2
		must(t, running[i].cmd.Process.Kill()) // it is anywhere: between two lines, or in the middle of compacting
		for next(running[i]) {
		}
		_ = running[i].cmd.Wait() // says that it was killed
		ended = append(ended, running[i])
		running[i] = start(i, 20_000+10_000*k)
	}
	for _, c := range running {
		must(t, c.cmd.Process.Kill())
		for next(c) {
		}
		_ = c.cmd.Wait()
		ended = append(ended, c)
	}
	s := r.open(r.config())
	checked := 0
	for _, c := range ended {
		for n := c.from; n < c.last; n++ {
			has, err := s.Has(t.Context(), one(n))
			must(t, err)
			// The last block of each round but the newest is deleted; the newest may be, if the child was killed before it could say so.
			deleted := n%3 == (c.from+2)%3
			if !deleted && !has || deleted && has && n < c.last-3 {
				t.Errorf("block %d: %v (from %d to %d)", n, has, c.from, c.last)
			}
			checked++
		}
	}
	t.Logf("%d blocks of %d processes, %+v", checked, len(ended), s.Stats())
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if checked < 100 {
		t.Errorf("only %d blocks", checked)
	}
}
