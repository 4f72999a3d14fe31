//go:build linux

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// person is somebody with a computer of their own: a home directory, a terminal, and no flags.
type person struct {
	home  string
	space *lab.Network
}

// types runs a command line on a terminal.
func (p person) types(t *testing.T, args ...string) *lab.Terminal {
	t.Helper()
	line := append([]string{program}, args...)
	if p.space != nil {
		line = append([]string{"ip", "netns", "exec", p.space.Space(0)}, line...)
	}
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = p.home
	cmd.Env = []string{"HOME=" + p.home, "PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "LANG=C.UTF-8"}
	terminal, err := lab.OpenTerminal(cmd)
	check(t, err)
	t.Cleanup(func() {
		_ = terminal.Close()
		if t.Failed() {
			t.Logf("%q showed:\n%s", args, terminal.Shown())
		}
	})
	return terminal
}

// shows waits until a terminal shows what matches, and returns the first group of it.
func shows(t *testing.T, terminal *lab.Terminal, pattern string) string {
	t.Helper()
	var found []string
	expr := regexp.MustCompile(pattern)
	eventually(t, "the terminal shows "+pattern, func() error {
		if found = expr.FindStringSubmatch(terminal.Shown()); found == nil {
			return errors.New("not yet")
		}
		return nil
	})
	return found[len(found)-1]
}

func TestTwoPeopleWithTwoCommandsHaveTheSameFolder(t *testing.T) {
	t.Parallel()
	n := privateNetwork(t)
	first, second := person{tempDir(t), n}, person{tempDir(t), n}
	check(t, os.MkdirAll(filepath.Join(first.home, "Shoal"), 0o755))
	check(t, os.WriteFile(filepath.Join(first.home, "Shoal", "hello"), []byte("world"), 0o644))

	one := first.types(t, "up", filepath.Join(first.home, "Shoal"))
	code := shows(t, one, `--join (\d+-[a-z]+-[a-z]+)`)
	shows(t, one, `--join (shoal1\S+)`)
	shows(t, one, "[\u2580\u2584\u2588]{5}") // a QR code
	if phrase := regexp.MustCompile(`\d+ [a-z]+`).FindAllString(one.Shown(), -1); len(phrase) < 24 {
		t.Errorf("there are %d words of 24 of the recovery phrase", len(phrase))
	}

	two := second.types(t, "up", filepath.Join(second.home, "Shoal"), "--join", code)
	shows(t, one, `asks to join`)
	check(t, one.Type("y\n"))
	eventually(t, "the file is there", func() error {
		text, err := os.ReadFile(filepath.Join(second.home, "Shoal", "hello"))
		if err == nil && string(text) != "world" {
			err = errors.New("it holds " + string(text))
		}
		return err
	})
	shows(t, two, `Shoal runs`)
	if strings.Contains(two.Shown(), "recovery phrase") {
		t.Error("a device that joined shows a recovery phrase")
	}
}

func TestTheRecoveryPhraseIsShownOnceOrWrittenToAFile(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	file := filepath.Join(filepath.Dir(a.Home), "phrase")
	a.up(t, "--recovery-out", file)
	words, err := os.ReadFile(file)
	check(t, err)
	if n := len(strings.Fields(string(words))); n != 24 {
		t.Errorf("the file holds %d words, want 24", n)
	}
	info, err := os.Stat(file)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the recovery phrase: %v", info.Mode())
	}
	log, err := os.ReadFile(a.Log)
	check(t, err)
	if strings.Contains(string(log), strings.Fields(string(words))[0]+" "+strings.Fields(string(words))[1]) {
		t.Error("the recovery phrase is in the log")
	}
}
