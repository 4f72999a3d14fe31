//go:build linux

package e2e

import (
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// world is a mesh whose devices can be kept apart for a while. There are two ways, and both must end the same: the daemons run and
// record everything, but have no network; or they do not run, and see what happened all at once when they start.
type world struct {
	devices []*device
	net     *lab.Network // nil: devices are kept apart by not running
}

// names of the devices of a world, in the order of joining. The first one is the owner.
var names = []string{"anna", "ben", "carla", "dora", "emil"}

// newWorld makes n devices that keep a folder the same.
func newWorld(t *testing.T, n int, net *lab.Network, options ...option) *world {
	t.Helper()
	w := &world{net: net}
	for i := range n {
		o := options
		if net != nil {
			o = append([]option{in(net, i)}, options...)
		}
		w.devices = append(w.devices, newDevice(t, names[i], o...))
	}
	w.devices[0].up(t)
	for _, d := range w.devices[1:] {
		join(t, w.devices[0], d)
	}
	settle(t, w.devices...)
	return w
}

// running tells whether the daemons run while they are apart.
func (w *world) running() bool { return w.net != nil }

// apart keeps all devices from each other.
func (w *world) apart(t *testing.T) {
	t.Helper()
	if w.net != nil {
		check(t, w.net.CutAll())
		return
	}
	for _, d := range w.devices {
		d.stop(t)
	}
}

// recorded waits until each device has recorded what was done while apart.
func (w *world) recorded(t *testing.T) {
	t.Helper()
	if w.running() {
		for _, d := range w.devices {
			d.wait(t, "--peers", "0")
		}
	}
}

// together lets all devices meet, and returns when all is settled.
func (w *world) together(t *testing.T) lab.Tree {
	t.Helper()
	w.meet(t)
	return settle(t, w.devices...)
}

// meet lets all devices meet.
func (w *world) meet(t *testing.T) {
	t.Helper()
	w.recorded(t)
	if w.net != nil {
		check(t, w.net.PlugAll())
		return
	}
	for _, d := range w.devices {
		d.up(t)
	}
}

// bothWays runs a test with devices that run while they are apart, where that is allowed, and with devices that do not. Short runs
// take the first way that works.
func bothWays(t *testing.T, n int, test func(t *testing.T, w *world)) {
	t.Run("running while apart", func(t *testing.T) {
		test(t, newWorld(t, n, network(t, n)))
	})
	t.Run("stopped while apart", func(t *testing.T) {
		test(t, newWorld(t, n, nil))
	})
}
