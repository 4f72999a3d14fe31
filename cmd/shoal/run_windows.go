package main

import (
	"context"
	"time"

	"github.com/kardianos/service"
)

// runService runs a device under the service manager, which wants to be spoken to, or from a console.
func (a *app) runService(ctx context.Context, c daemonConfig) error {
	if service.Interactive() {
		return a.runDaemon(ctx, c)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &windowsService{run: func() error { return a.runDaemon(ctx, c) }, cancel: cancel, ended: make(chan error, 1)}
	s, err := service.New(p, serviceConfig(c.Home))
	if err != nil {
		return err
	}
	return s.Run()
}

// stopPatience is how long the service manager waits for a service to stop.
const stopPatience = 20 * time.Second

// windowsService is a device as the service manager sees it.
type windowsService struct {
	run    func() error
	cancel context.CancelFunc
	ended  chan error // sent once by Start's goroutine, which Stop waits for
}

// Start begins to run and returns at once, as the service manager wants it.
func (s *windowsService) Start(service.Service) error {
	go func() { s.ended <- s.run() }()
	return nil
}

// Stop ends the device and waits for that.
func (s *windowsService) Stop(service.Service) error {
	s.cancel()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(stopPatience):
		return context.DeadlineExceeded
	}
}
