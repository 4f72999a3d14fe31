package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

// person is somebody at a terminal in which a command runs.
type person struct {
	t      *testing.T
	screen *os.File // the other side of the terminal
	shown  *bufio.Reader
	tty    *os.File
}

// sitDown opens a terminal that is wide enough for a QR code (pty(7)).
func sitDown(t *testing.T) *person {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	var unlock int32
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, int(unlock)); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 60, Col: 120}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Fd made the file blocking; deadlines need it otherwise.
	if err := unix.SetNonblock(int(screen.Fd()), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close(); tty.Close() })
	return &person{t: t, screen: screen, shown: bufio.NewReader(screen), tty: tty}
}

// starts runs a command in the terminal; the returned function waits for its exit code.
func (p *person) starts(ctx context.Context, args ...string) func() int {
	ended := make(chan int, 1)
	console := terminal.New(p.tty, p.tty, p.tty)
	go func() { ended <- execute(ctx, &app{console: console, daemon: pretendDaemon}, args) }()
	return func() int {
		select {
		case code := <-ended:
			return code
		case <-time.After(20 * time.Second):
			p.t.Fatal("the command does not end")
			return -1
		}
	}
}

// reads returns what is shown up to and with text.
func (p *person) reads(text string) string {
	p.t.Helper()
	var seen strings.Builder
	watchdog := time.AfterFunc(20*time.Second, func() { p.tty.Close(); p.screen.Close() })
	defer watchdog.Stop()
	for !strings.HasSuffix(seen.String(), text) {
		b, err := p.shown.ReadByte()
		if err != nil {
			p.t.Fatalf("waited for %q, saw %q: %v", text, seen.String(), err)
		}
		seen.WriteByte(b)
	}
	return seen.String()
}

func (p *person) types(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.screen, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func TestUpOnATerminalShowsPhraseAndQRCodeAndAsksWhoMayJoin(t *testing.T) {
	p := sitDown(t)
	end := p.starts(t.Context(), "up", t.TempDir(), "--home", t.TempDir(), "--name", "laptop")
	shown := p.reads("[y/n] ")
	for _, want := range []string{" 1 abandon", " 8 abstract", "shoal up --join shoal1ticket", "\x1b[97;40m█", `"phone" (…`} {
		if !strings.Contains(shown, want) {
			t.Errorf("the terminal does not show %q:\n%s", want, shown)
		}
	}
	p.types("what?")
	p.reads("[y/n] ")
	p.types("yes")
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestUpAsksNothingWithYesOrWhenStandardInputIsTheTicket(t *testing.T) {
	for _, flags := range [][]string{{"--yes"}, {"--join", "-"}} {
		p := sitDown(t)
		var got daemonConfig
		console := terminal.New(p.tty, p.tty, p.tty)
		console.In = strings.NewReader("shoal1ticket")
		a := &app{console: console, daemon: func(_ context.Context, c daemonConfig) error { got = c; return nil }}
		if code := execute(t.Context(), a, append([]string{"up", t.TempDir(), "--home", t.TempDir()}, flags...)); code != 0 {
			t.Errorf("%q: exit code %d", flags, code)
		}
		if got.Ask != nil || got.ShowPhrase == nil {
			t.Errorf("%q: asks %v, shows the phrase %v", flags, got.Ask != nil, got.ShowPhrase != nil)
		}
	}
}

func TestTheQRCodeNeedsNoColours(t *testing.T) {
	p := sitDown(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := p.starts(ctx, "up", t.TempDir(), "--home", t.TempDir(), "--yes", "--no-color")
	shown := p.reads("Ctrl-C stops it.")
	if !strings.Contains(shown, "█") || strings.Contains(shown, "\x1b[") {
		t.Errorf("without colours the QR code is plain blocks:\n%q", shown)
	}
	cancel()
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestInviteOnATerminalAsksAndAdmits(t *testing.T) {
	p, home := sitDown(t), t.TempDir()
	d := serveDevice(t, home)
	end := p.starts(t.Context(), "invite", "--home", home)
	p.reads("Waiting for the device")
	d.Ask(control.Request{Device: controltest.DeviceID(9), Name: "ph\x1b[2Jone", Role: "member", Via: "ticket"})
	question := p.reads("[y/n] ")
	if !strings.Contains(question, `"ph\x1b[2Jone"`) {
		t.Errorf("the guest's name reached the terminal as it is: %q", question)
	}
	p.types("y")
	p.reads("was admitted.")
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestInviteOnATerminalDeniesWithExitCode5(t *testing.T) {
	p, home := sitDown(t), t.TempDir()
	d := serveDevice(t, home)
	end := p.starts(t.Context(), "invite", "--home", home)
	p.reads("Waiting for the device")
	d.Ask(control.Request{Device: controltest.DeviceID(9), Name: "phone", Role: "member", Via: "ticket"})
	p.reads("[y/n] ")
	p.types("n")
	p.reads("was sent away")
	if code := end(); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
}

func TestRevokeOnATerminalAsksFirst(t *testing.T) {
	p, home := sitDown(t), t.TempDir()
	d := serveDevice(t, home)
	end := p.starts(t.Context(), "devices", "revoke", "phone", "--home", home)
	p.reads("for ever? [y/n] ")
	p.types("n")
	if code := end(); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	if calls := d.Calls(); len(calls) > 0 {
		t.Errorf("the device was asked: %v", calls)
	}
	end = p.starts(t.Context(), "devices", "revoke", "phone", "--home", home, "--yes")
	p.reads("phone is revoked.")
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWatchShowsStatusAgainWhenItChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the pause between two looks")
	}
	p, home := sitDown(t), t.TempDir()
	d := serveDevice(t, home)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := p.starts(ctx, "status", "--watch", "--home", home)
	p.reads("idle")
	d.Change(func(s *control.Status, _ *[]control.Folder) { s.Folders[0].State = control.StateSyncing })
	p.reads("\x1b[2J")
	p.reads("syncing")
	cancel()
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestRecoverAsksForTheWordsAndDoesNotShowThem(t *testing.T) {
	p := sitDown(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := p.starts(ctx, "recover", "--vault", "192.0.2.7:4001", t.TempDir(), "--home", t.TempDir())
	const question = "(they are not shown): "
	p.reads(question)
	p.types(strings.Repeat("ability ", 2) + "abilitie " + strings.Repeat("ability ", 21))
	shown := p.reads(question)
	if !strings.Contains(shown, "word 3 is not in the word list") || strings.Contains(shown, "abilit") {
		t.Errorf("after a wrong word the terminal shows %q", shown)
	}
	p.types(strings.Repeat("abandon ", 23) + "art")
	if shown = p.reads("Shoal runs"); strings.Contains(shown, "abandon") {
		t.Errorf("the words are shown: %q", shown)
	}
	cancel()
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTerminalIsAsBeforeWhenRecoverIsInterrupted(t *testing.T) {
	p := sitDown(t)
	before, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := p.starts(ctx, "recover", t.TempDir(), "--home", t.TempDir())
	p.reads("(they are not shown): ")
	cancel()
	if code := end(); code == 0 {
		t.Error("an interrupted recovery ends with exit code 0")
	}
	after, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil || after.Lflag != before.Lflag {
		t.Errorf("flags of the terminal: %x, were %x, %v", after.Lflag, before.Lflag, err)
	}
	p.types("") // lets the reader go
}
