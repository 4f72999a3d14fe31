//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// refused runs `up --join` with something that must not let a device in, and returns what it said. The exit code is that of a refusal
// or, for what is no ticket at all, of wrong usage.
func refused(t *testing.T, d *device, secret string, codes ...int) lab.Result {
	t.Helper()
	r, err := d.Up(within(t), "--join", secret)
	check(t, err)
	for _, code := range codes {
		if r.Code == code {
			if strings.TrimSpace(r.Stderr) == "" {
				t.Errorf("it says nothing: %s", r)
			}
			return r
		}
	}
	t.Fatalf("want exit code %v: %s", codes, r)
	return r
}

func TestATicketLetsOneDeviceInAndNoSecond(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	b, c := newDevice(t, "ben"), newDevice(t, "carla")
	b.up(t, "--join", invite.Ticket)
	refused(t, c, invite.Ticket, 5)
	if devices := a.status(t).Devices; len(devices) != 1 || devices[0].Name != "ben" {
		t.Errorf("in the mesh there are %+v", devices)
	}
	// A refused device is as new as before: with a good ticket it gets in.
	join(t, a, c)
	settle(t, a, b, c)
}

func TestAnExpiredTicketIsRefused(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	a.up(t)
	invite, err := a.Invite(within(t), "--yes", "--expires", "1s")
	check(t, err)
	eventually(t, "the ticket runs out", func() error {
		if time.Now().Before(invite.Expires) {
			return errors.New("it is still good")
		}
		return nil
	})
	refused(t, b, invite.Ticket, 5)
}

func TestWhatIsNoTicketIsRefused(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	a.up(t)
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	for name, secret := range map[string]string{
		"nonsense":       "shoal1nonsense",
		"cut off":        invite.Ticket[:len(invite.Ticket)/2],
		"one letter off": swapLetter(invite.Ticket),
		"too long":       invite.Ticket + invite.Ticket,
	} {
		t.Run(name, func(t *testing.T) { refused(t, b, secret, 2, 5) })
	}
	if devices := a.status(t).Devices; len(devices) != 0 {
		t.Errorf("in the mesh there are %+v", devices)
	}
	if entries, err := os.ReadDir(b.Dir); err != nil || len(entries) > 0 {
		t.Errorf("a refused device made %v in its folder: %v", entries, err)
	}
}

func swapLetter(text string) string {
	b := []byte(text)
	middle := len(b) * 3 / 4
	if b[middle]++; b[middle] > 'z' || b[middle-1] == b[middle] {
		b[middle] = 'a'
	}
	return string(b)
}

func TestAnOwnerIsNeverAdmittedWithoutAQuestion(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	a.up(t)
	a.exits(t, 5, "--json", "invite", "--yes", "--role", "owner")
	a.exits(t, 2, "--json", "invite", "--role", "king")
}

// ask starts a device that asks to join and waits until the host hears of it.
func ask(t *testing.T, host, guest *device, secret string) {
	t.Helper()
	check(t, guest.Start("--join", secret))
	eventually(t, "the host hears of the guest", func() error {
		r, err := host.Run(within(t), "devices")
		if err == nil && !strings.Contains(r.Stdout, guest.Name) {
			err = errors.New(r.String())
		}
		return err
	})
}

func TestAGuestIsAdmittedOrSentAwayByAnOwner(t *testing.T) {
	t.Parallel()
	a, b, c := newDevice(t, "anna"), newDevice(t, "ben"), newDevice(t, "carla")
	a.at(t).write("f", "x")
	a.up(t)
	invite, err := a.Invite(within(t))
	check(t, err)
	ask(t, a, b, invite.Ticket)
	if devices := a.status(t).Devices; len(devices) != 0 {
		t.Errorf("before anybody said yes there are %+v in the mesh", devices)
	}
	a.do(t, "deny", "ben")
	if code, err := b.Ended(within(t)); err != nil || code != 5 {
		t.Errorf("a guest who was sent away ends with exit code %d, %v", code, err)
	}
	invite, err = a.Invite(within(t))
	check(t, err)
	ask(t, a, c, invite.Ticket)
	a.do(t, "approve", "carla")
	check(t, c.Ready(within(t)))
	settle(t, a, c)
}

// withFriends lets devices find each other on the network and on this machine.
func withFriends(d *lab.Device) { d.Flags = nil }

func TestASpokenCodePairsTwoDevicesOnOneMachine(t *testing.T) {
	t.Parallel()
	n := privateNetwork(t)
	a, b := newDevice(t, "anna", withFriends, alone(n)), newDevice(t, "ben", withFriends, alone(n))
	a.at(t).write("f", "x")
	a.up(t)
	invite, err := a.Invite(within(t))
	check(t, err)
	ask(t, a, b, invite.Code)
	a.do(t, "approve", "ben")
	check(t, b.Ready(within(t)))
	settle(t, a, b)
}

func TestAWrongCodeIsRefusedAndBurnsTheInvitation(t *testing.T) {
	t.Parallel()
	n := privateNetwork(t)
	a, b := newDevice(t, "anna", withFriends, alone(n)), newDevice(t, "ben", withFriends, alone(n))
	a.up(t)
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	parts := strings.Split(invite.Code, "-")
	if len(parts) != 3 {
		t.Fatalf("%q is no code of a number and two words", invite.Code)
	}
	parts[1], parts[2] = parts[2], parts[1]
	refused(t, b, strings.Join(parts, "-"), 5)
	refused(t, b, invite.Code, 5) // one guess
	refused(t, b, "words", 2, 5)
	if devices := a.status(t).Devices; len(devices) != 0 {
		t.Errorf("in the mesh there are %+v", devices)
	}
}

func TestATicketCanBeReadFromStandardInput(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	a.up(t)
	invite, err := a.Invite(within(t), "--yes")
	check(t, err)
	// The daemon stays in the foreground, so it runs until it is stopped from beside.
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		r, err := b.RunInput(ctx, invite.Ticket+"\n", "up", b.Dir, "--name", b.Name, "--no-mdns", "--no-dht", "--no-api", "--listen", b.Listen, "--join", "-")
		if err == nil && r.Code != 0 {
			err = errors.New(r.String())
		}
		ended <- err
	}()
	eventually(t, "the guest is in", func() error {
		if devices := a.status(t).Devices; len(devices) != 1 || !devices[0].Connected {
			return errors.New("not yet")
		}
		_, err := b.Status(ctx)
		return err
	})
	b.do(t, "stop")
	check(t, <-ended)
}

func TestUpYesAdmitsTheHolderOfThePrintedTicket(t *testing.T) {
	t.Parallel()
	a, b := newDevice(t, "anna"), newDevice(t, "ben")
	a.Verbose = false
	a.up(t, "--json", "--yes")
	var started struct{ Ticket, Code string }
	eventually(t, "it prints how to add a device", func() error {
		log, err := os.ReadFile(a.Log)
		if err != nil {
			return err
		}
		_, document, _ := strings.Cut(string(log), "\n")
		return json.Unmarshal([]byte(document), &started)
	})
	if started.Code == "" {
		t.Error("no code was printed")
	}
	b.up(t, "--join", started.Ticket)
	settle(t, a, b)
}
