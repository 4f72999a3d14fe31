package main

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

// A script that stops a device and then copies its home must find it closed.
func TestStopReturnsWhenTheHomeIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	d := controltest.New(t.TempDir())
	home, err := control.OpenHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	l, err := home.Listen()
	if err != nil {
		t.Fatal(err)
	}
	server, err := control.NewServer(d.Backend(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, stopped := make(chan error, 1), make(chan int, 1)
	go func() { served <- server.Serve(ctx, l) }()
	var out, errs bytes.Buffer
	go func() {
		stopped <- execute(t.Context(), &app{console: plainConsole(t, &out, &errs)}, []string{"stop", "--home", dir})
	}()
	<-d.Stopping()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	// The device answers no more, and still has its home: databases are being closed.
	select {
	case code := <-stopped:
		t.Errorf("stop returned %d while the home was used: %s", code, errs.String())
		stopped <- code
	case <-time.After(100 * time.Millisecond):
	}
	home.Close()
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
