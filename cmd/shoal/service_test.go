package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kardianos/service"
)

// noServices is a service manager in memory.
type noServices struct {
	asked []string // action and name
	state serviceState
	err   error
}

var _ services = (*noServices)(nil)

func (s *noServices) Control(c *service.Config, action string) error {
	s.asked = append(s.asked, action+" "+c.Name)
	return s.err
}

func (s *noServices) State(c *service.Config) (serviceState, error) {
	s.state.Name = c.Name
	return s.state, s.err
}

func TestTheServiceOfTheUsualHomeIsCalledShoal(t *testing.T) {
	t.Setenv(homeVariable, "")
	manager := &noServices{}
	for _, action := range []string{"install", "start", "stop", "uninstall"} {
		var out, err bytes.Buffer
		if code := execute(t.Context(), &app{console: plainConsole(t, &out, &err), services: manager}, []string{"service", action}); code != 0 {
			t.Errorf("%s: exit code %d, %s", action, code, err.String())
		}
	}
	if want := []string{"install shoal", "start shoal", "stop shoal", "uninstall shoal"}; !slices.Equal(manager.asked, want) {
		t.Errorf("asked %q, want %q", manager.asked, want)
	}
}

func TestAnotherHomeHasAServiceOfItsOwn(t *testing.T) {
	home := t.TempDir()
	c, other := serviceConfig(home), serviceConfig(filepath.Join(home, "other"))
	if !strings.HasPrefix(c.Name, "shoal-") || c.Name == other.Name {
		t.Errorf("names %s and %s", c.Name, other.Name)
	}
	if want := []string{"run", "--home", home}; !slices.Equal(c.Arguments, want) {
		t.Errorf("it runs %q, want %q", c.Arguments, want)
	}
	if c.Option["UserService"] != true {
		t.Error("it is no service of the user")
	}
}

func TestServiceStatusEndsWithCode3UnlessItRuns(t *testing.T) {
	for _, row := range []struct {
		state serviceState
		err   error
		code  int
		says  string
	}{
		{serviceState{Installed: true, Running: true}, nil, 0, "runs"},
		{serviceState{Installed: true}, nil, 3, "does not run"},
		{serviceState{}, nil, 3, "is not installed"},
		{serviceState{}, errors.New("no service manager"), 1, "no service manager"},
	} {
		var out, err bytes.Buffer
		a := &app{console: plainConsole(t, &out, &err), services: &noServices{state: row.state, err: row.err}}
		if code := execute(t.Context(), a, []string{"service", "status"}); code != row.code || !strings.Contains(out.String()+err.String(), row.says) {
			t.Errorf("%+v: exit code %d, want %d: %s%s", row.state, code, row.code, out.String(), err.String())
		}
	}
}
