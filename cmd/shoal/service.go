package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kardianos/service"
	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

// services is what this program needs of the system's service manager.
type services interface {
	// Control does one of install, uninstall, start, stop.
	Control(c *service.Config, action string) error
	// State tells how the service is: installed and running, or not.
	State(c *service.Config) (serviceState, error)
}

// serviceState is what `shoal service status --json` prints.
type serviceState struct {
	Name      string `json:"name"`
	Installed bool   `json:"installed"`
	Running   bool   `json:"running"`
}

func newService(a *app) *cobra.Command {
	return newGroup("service", "Run Shoal at login or boot",
		"  shoal service install && shoal service start\n  shoal service status",
		newServiceAction(a, "install", "Run Shoal at every login from now on",
			"Registers \"shoal run\" with the service manager of this user. On Linux, \"loginctl enable-linger\" makes it run from boot on.", "Installed. Start it now with: shoal service start"),
		newServiceAction(a, "uninstall", "Run it at login no longer", "Takes the service away. Keys, databases and files stay.", "Uninstalled."),
		newServiceAction(a, "start", "Start the installed service", "Starts the installed service now.", "Started."),
		newServiceAction(a, "stop", "Stop the running service", "Stops the service until the next login or \"shoal service start\".", "Stopped."),
		newServiceStatus(a))
}

func newServiceAction(a *app, action, short, long, done string) *cobra.Command {
	return &cobra.Command{
		Use: action, Short: short, Long: long,
		Example: "  shoal service " + action,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.serviceConfig()
			if err != nil {
				return err
			}
			if err := a.services.Control(c, action); err != nil {
				return fmt.Errorf("%s service %s: %w", action, c.Name, err)
			}
			a.done(nil, "%s", done)
			return nil
		},
	}
}

func newServiceStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Tell whether the service is installed and runs",
		Long:    "Tells whether the service is installed and runs. The exit code is 3 when it does not run.",
		Example: "  shoal service status\n  shoal service status --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.serviceConfig()
			if err != nil {
				return err
			}
			state, err := a.services.State(c)
			if err != nil {
				return fmt.Errorf("ask for service %s: %w", c.Name, err)
			}
			what := "is not installed"
			switch {
			case state.Running:
				what = "runs"
			case state.Installed:
				what = "is installed and does not run"
			}
			a.done(state, "The service %s %s.", state.Name, what)
			if !state.Running {
				return control.Errorf(control.CodeNotRunning, "%w", errSilent)
			}
			return nil
		},
	}
}

// serviceConfig is the service for the home of this command.
func (a *app) serviceConfig() (*service.Config, error) {
	home, err := a.homeDir()
	if err != nil {
		return nil, err
	}
	return serviceConfig(home), nil
}

// serviceConfig describes the service of one home to the service manager. Each home has its own; that of the default home
// is called "shoal".
func serviceConfig(home string) *service.Config {
	name := "shoal"
	if usual, err := defaultHome(); err != nil || usual != home {
		sum := sha256.Sum256([]byte(home))
		name += "-" + hex.EncodeToString(sum[:4])
	}
	return &service.Config{
		Name:        name,
		DisplayName: "Shoal",
		Description: "Keeps files the same on all devices",
		Arguments:   []string{"run", "--home", home},
		Option:      service.KeyValue{"UserService": true, "RunAtLoad": true, "Restart": "on-failure"},
	}
}

// systemServices is the service manager of this system.
type systemServices struct{}

var _ services = systemServices{}

// Control implements services.
func (systemServices) Control(c *service.Config, action string) error {
	s, err := service.New(idle{}, c)
	if err != nil {
		return err
	}
	return service.Control(s, action)
}

// State implements services.
func (systemServices) State(c *service.Config) (serviceState, error) {
	state := serviceState{Name: c.Name}
	s, err := service.New(idle{}, c)
	if err != nil {
		return state, err
	}
	status, err := s.Status()
	if errors.Is(err, service.ErrNotInstalled) {
		return state, nil
	}
	state.Installed = err == nil
	state.Running = status == service.StatusRunning
	return state, err
}

// idle is a service that this process only talks about.
type idle struct{}

// Start implements service.Interface.
func (idle) Start(service.Service) error { return nil }

// Stop implements service.Interface.
func (idle) Stop(service.Service) error { return nil }
