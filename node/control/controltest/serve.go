package controltest

import (
	"context"
	"errors"
	"log/slog"

	"github.com/shoalmesh/shoal/node/control"
)

// Serve lets the device answer on the control socket of home until ctx ends or it is asked to stop. ready is called when it
// answers.
func (d *Device) Serve(ctx context.Context, home string, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h, err := control.OpenHome(home)
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.Listen()
	if err != nil {
		return err
	}
	server, err := control.NewServer(d.Backend(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	served := make(chan error, 1) // sent once
	go func() { served <- server.Serve(ctx, l) }()
	ready()
	select {
	case err = <-served:
		return errors.Join(err, h.Close())
	case <-d.stop:
		cancel()
	}
	return errors.Join(<-served, h.Close())
}
