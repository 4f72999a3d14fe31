//go:build linux

// Package packaging holds what installs a vault: a systemd unit and a Containerfile. There is no code, only these tests of them.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestSystemdTakesTheUnit(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	// The program of the unit need not be installed here: one that is stands in for it.
	program, err := exec.LookPath("true")
	if err != nil {
		t.Skip("needs the program true")
	}
	unit := strings.Replace(read(t, "shoal-vault.service"), "/usr/local/bin/shoal", program, 1)
	name := filepath.Join(t.TempDir(), "shoal-vault.service")
	if err := os.WriteFile(name, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "verify", "--man=no", "--recursive-errors=no", name).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "shoal-vault") {
			t.Error(line)
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestTheServiceAndTheContainerHaveNoRights(t *testing.T) {
	unit := read(t, "shoal-vault.service")
	for _, line := range []string{"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=\n", "Type=notify", "WatchdogSec=", "StateDirectory=shoal-vault\n"} {
		if !strings.Contains(unit, "\n"+line) {
			t.Errorf("the unit lacks %q", line)
		}
	}
	image := read(t, "Containerfile")
	last := image[strings.LastIndex(image, "\nFROM ")+1:]
	if !strings.HasPrefix(last, "FROM scratch\n") || !strings.Contains(last, "\nUSER 65532:65532\n") || !strings.Contains(last, "\nHEALTHCHECK ") {
		t.Errorf("the image is not what it should be:\n%s", last)
	}
}
