package main

import (
	"context"
	"testing"

	"github.com/shoalmesh/shoal/node/control/controltest"
)

// serveDevice runs a pretended device until the test ends.
func serveDevice(t *testing.T, home string) *controltest.Device {
	t.Helper()
	d := controltest.New(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Serve(ctx, home, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d
}
