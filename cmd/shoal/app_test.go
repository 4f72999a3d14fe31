package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestTheHomeIsTheFlagElseTheVariableElseThePlatforms(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the platform's folder is told by other variables")
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, flag, variable, xdg, want string }{
		{"flag", "/flag", "/variable", "/xdg", "/flag"},
		{"variable", "", "/variable", "/xdg", "/variable"},
		{"XDG", "", "", "/xdg", "/xdg/shoal"},
		{"relative XDG is ignored", "", "", "xdg", "/user/.local/share/shoal"},
		{"user", "", "", "", "/user/.local/share/shoal"},
		{"relative flag", "x", "", "", filepath.Join(cwd, "x")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("HOME", "/user")
			t.Setenv(homeVariable, row.variable)
			t.Setenv("XDG_DATA_HOME", row.xdg)
			if got, err := (&app{home: row.flag}).homeDir(); err != nil || got != row.want {
				t.Errorf("home %s (%v), want %s", got, err, row.want)
			}
		})
	}
}

func TestFlagsReachTheDaemon(t *testing.T) {
	t.Setenv("HOME", "/user")
	var got daemonConfig
	var out, err bytes.Buffer
	a := &app{console: plainConsole(t, &out, &err), daemon: func(_ context.Context, c daemonConfig) error { got = c; return nil }}
	args := []string{
		"up", "/data", "--home", "/h", "--name", "n", "--listen", "/ip4/1.2.3.4/tcp/1", "--listen", "/ip4/1.2.3.4/tcp/2", "--api", "127.0.0.1:80",
		"--no-mdns", "--no-dht", "--bootstrap", "/dns/x/tcp/1", "--join", " code ", "--recovery-out", "/r", "--yes",
	}
	if code := execute(t.Context(), a, args); code != 0 {
		t.Fatal(err.String())
	}
	if got.Home != "/h" || got.Dir != "/data" || got.DefaultDir != "" || got.Name != "n" || len(got.Listen) != 2 || got.API != "127.0.0.1:80" || got.NoAPI ||
		!got.NoMDNS || !got.NoDHT || len(got.Bootstrap) != 1 || got.Join != "code" || got.RecoveryOut != "/r" || !got.AutoAdmit || got.Service {
		t.Errorf("up: %+v", got)
	}
	if got.Ask != nil || got.ShowPhrase != nil {
		t.Error("without a terminal nothing is asked and no phrase shown")
	}
	if code := execute(t.Context(), a, []string{"run", "--no-api"}); code != 0 {
		t.Fatal(err.String())
	}
	if got.Dir != "" || got.DefaultDir != "" || !got.NoAPI || !got.Service || got.Log == nil || got.Ready == nil || got.Progress == nil {
		t.Errorf("run: %+v", got)
	}
	if code := execute(t.Context(), a, []string{"up"}); code != 0 || got.Dir != "" || got.DefaultDir != "/user/Shoal" {
		t.Errorf("up without DIR: %+v", got)
	}
}
