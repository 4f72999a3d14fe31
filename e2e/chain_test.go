//go:build linux

package e2e

import (
	"errors"
	"os"
	"testing"
	"time"
)

func TestAChangeReachesTheEndOfAChainOfFive(t *testing.T) {
	beside(t)
	const length = 5
	net := network(t, length)
	w := newWorld(t, length, net)
	check(t, net.CutAll())
	for i := range length - 1 {
		check(t, net.Plug(i, i+1))
	}
	first, last := w.devices[0], w.devices[length-1]
	onlyNeighbours(t, w)

	start := time.Now()
	first.at(t).write("small", "from the first")
	first.at(t).random("big", 8*mib, 11)
	last.at(t).write("back", "from the last")
	settle(t, w.devices...)
	// Who is told that a block is not there asks again after seconds, later after half a minute: it has to be told when the block is there.
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("8 MiB took %v over %d hops", took, length-1)
	}
	if got := last.at(t).read("small"); got != "from the first" {
		t.Errorf("at the end of the chain the file holds %q", got)
	}

	// What an edit takes over four hops is nobody's promise; it must not be polling somewhere.
	start = time.Now()
	first.at(t).write("small", "edited")
	eventually(t, "an edit reaches the end of the chain", func() error {
		if text, err := os.ReadFile(last.path("small")); err != nil || string(text) != "edited" {
			return errors.Join(errors.New("not yet"), err)
		}
		return nil
	})
	took := time.Since(start)
	t.Logf("an edit took %v over %d hops", took, length-1)
	if took > 2*time.Second {
		t.Errorf("an edit took %v over %d hops", took, length-1)
	}
	first.at(t).remove("small")
	last.at(t).rename("big", "renamed")
	settle(t, w.devices...)
	onlyNeighbours(t, w)
}

// onlyNeighbours waits until each device of a chain is connected with its neighbours, and holds that it is with nobody else.
func onlyNeighbours(t *testing.T, w *world) {
	t.Helper()
	eventually(t, "each device has its neighbours and nobody else", func() error {
		for i, d := range w.devices {
			s, err := d.Status(within(t))
			if err != nil {
				return err
			}
			for _, peer := range s.Devices {
				j := indexOf(peer.Name)
				if neighbour := j == i-1 || j == i+1; peer.Connected != neighbour {
					return errors.New(d.Name + " and " + peer.Name + " are joined by a cable or a connection, not by both")
				}
			}
		}
		return nil
	})
}

func indexOf(name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

func TestAFileIsFetchedFromTwoSourcesAtOnce(t *testing.T) {
	beside(t)
	net := network(t, 3)
	w := newWorld(t, 3, net, quiet)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	c.stop(t)
	const size = 24 * mib
	a.at(t).random("big", size, 12)
	settle(t, a, b)
	// Cables of 80 Mbit/s: with one alone the file takes 2.5 s.
	for _, source := range []int{0, 1} {
		check(t, net.Slow(source, 2, 80))
	}
	before := received(t, w)
	start := time.Now()
	c.up(t)
	c.wait(t)
	t.Logf("%d bytes over two cables of 10 MB/s in %v", size, time.Since(start).Round(10*time.Millisecond))
	for i, after := range received(t, w) {
		got := after - before[i]
		t.Logf("from %s: %d bytes", w.devices[i].Name, got)
		if got < size/5 {
			t.Errorf("%s sent only %d of %d bytes", w.devices[i].Name, got, size)
		}
	}
}

// received returns what the third device got from the first two so far.
func received(t *testing.T, w *world) (bytes [2]int64) {
	t.Helper()
	for i := range bytes {
		var err error
		bytes[i], err = w.net.Received(2, i)
		check(t, err)
	}
	return bytes
}

func TestDevicesThatNeverMeetShareThroughAThird(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, nil)
	a, b, c := w.devices[0], w.devices[1], w.devices[2]
	a.stop(t)
	c.at(t).write("from carla", "anna does not run")
	settle(t, b, c)
	c.stop(t)
	a.up(t)
	a.at(t).write("from anna", "carla does not run")
	tree := settle(t, a, b)
	if tree["from carla"].Kind != "file" {
		t.Errorf("what one wrote has not come through the third:\n%s", tree.List())
	}
	a.stop(t)
	c.up(t)
	settle(t, b, c)
	if got := c.at(t).read("from anna"); got != "carla does not run" {
		t.Errorf("through the third came %q", got)
	}
}
