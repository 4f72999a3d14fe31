package main

import (
	"context"
	"os"
	"time"

	"github.com/kardianos/service"

	"github.com/shoalmesh/shoal/node/control"
)

// runService runs a device under the service manager, which wants to be spoken to, or from a console.
func (a *app) runService(ctx context.Context, c daemonConfig) error {
	if service.Interactive() {
		return a.runDaemon(ctx, c)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &windowsService{run: func() error { return a.runDaemon(ctx, c) }, stopping: ctx.Done(), cancel: cancel, ended: make(chan error, 1)}
	s, err := service.New(w, serviceConfig(c.Home))
	if err != nil {
		return err
	}
	return s.Run()
}

// stopPatience is how long the service manager waits for a service to stop.
const stopPatience = 20 * time.Second

// windowsService is a device as the service manager sees it.
type windowsService struct {
	run      func() error
	stopping <-chan struct{} // closed by cancel
	cancel   context.CancelFunc
	ended    chan error // sent once by the goroutine of Start, received by Stop
}

// Start begins to run and returns at once, as the service manager wants it. A device that ends by itself ends the process:
// only then does the service manager start it again.
func (w *windowsService) Start(service.Service) error {
	go func() {
		err := w.run()
		select {
		case <-w.stopping:
			w.ended <- err
		default:
			os.Exit(control.ExitCode(err))
		}
	}()
	return nil
}

// Stop ends the device and waits for that.
func (w *windowsService) Stop(service.Service) error {
	w.cancel()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(stopPatience):
		return context.DeadlineExceeded
	}
}
