package invite

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// testDesk is a desk whose clock stands until it is moved.
type testDesk struct {
	*Desk
	now time.Time
}

func newTestDesk() *testDesk {
	d := &testDesk{now: time.Unix(1_000_000, 0)}
	d.Desk = NewDesk(func() time.Time { return d.now }, rand.Reader)
	d.SetMesh(shoal.MeshID{1})
	return d
}

func free(uint32) bool { return false }

func (d *testDesk) create(t interface{ Fatal(...any) }) *Invite {
	i, err := d.Create(mesh.RoleMember, time.Hour, false, free)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func byTicket(i *Invite) *wire.Begin { return &wire.Begin{Invite: Name(i.Secret)} }
func byCode(i *Invite) *wire.Begin   { return &wire.Begin{Nameplate: i.Code.Plate} }

var anna, ben = shoal.DeviceID{1}, shoal.DeviceID{2}

const (
	yes     = wire.Reason(0)
	expired = wire.Reason_REASON_EXPIRED
	used    = wire.Reason_REASON_USED
	denied  = wire.Reason_REASON_DENIED
	busy    = wire.Reason_REASON_BUSY
)

func (d *testDesk) ask(t *testing.T, b *wire.Begin, guest shoal.DeviceID, want wire.Reason) {
	t.Helper()
	if _, got := d.Find(b, guest); got != want {
		t.Errorf("find: %v, want %v", got, want)
	}
}

func TestCodeEndsBeforeItsTicket(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	i := d.create(t)
	d.ask(t, byCode(i), anna, yes)
	if show, until := d.Plates(); !show[i.Code.Plate] || !until.Equal(d.now.Add(codeTTL)) {
		t.Errorf("plates %v until %s", show, until)
	}
	d.now = d.now.Add(codeTTL)
	d.ask(t, byCode(i), anna, expired)
	d.ask(t, byTicket(i), anna, yes)
	if show, _ := d.Plates(); len(show) != 0 {
		t.Errorf("plates %v", show)
	}
	d.now = d.now.Add(time.Hour)
	d.ask(t, byTicket(i), anna, expired)
	if !d.Open() {
		t.Error("nobody is left to say why")
	}
	d.now = d.now.Add(inviteMemory)
	if d.Open() {
		t.Error("strangers may knock for ever")
	}
}

func TestBurntCodeLeavesTheTicket(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	i := d.create(t)
	d.Burn(i)
	d.ask(t, byCode(i), anna, used)
	d.ask(t, byTicket(i), anna, yes)
	if show, _ := d.Plates(); !show[i.Code.Plate] {
		t.Errorf("whoever comes with a burnt code is not told why: %v", show)
	}
	if _, r := d.Claim(i, anna, true); r != used {
		t.Errorf("claim with a burnt code: %v", r)
	}
}

func TestClaimIsForOneGuestAtATime(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	i := d.create(t)
	if _, r := d.Claim(i, anna, false); r != yes {
		t.Fatal(r)
	}
	if _, r := d.Claim(i, anna, false); r != busy {
		t.Errorf("same guest, second connection: %v", r)
	}
	if _, r := d.Claim(i, ben, false); r != used {
		t.Errorf("another guest: %v", r)
	}
	d.Cancel(i.Secret)
	d.now = d.now.Add(2 * time.Hour)
	d.ask(t, byTicket(i), anna, yes) // it was in time
	d.Settle(i, []byte("in"), false)
	if welcome, r := d.Claim(i, anna, false); r != yes || string(welcome) != "in" {
		t.Errorf("%q, %v", welcome, r)
	}
	d.ask(t, byTicket(i), ben, used)
}

func TestUndecidedClaimOpensTheInviteAgain(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	i := d.create(t)
	d.Claim(i, anna, true)
	d.Settle(i, nil, false)
	d.ask(t, byCode(i), ben, yes)
}

func TestDenialIsForGood(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	i := d.create(t)
	d.Claim(i, anna, true)
	d.Settle(i, nil, true)
	d.ask(t, byCode(i), anna, denied)
	d.ask(t, byTicket(i), ben, used)
}

func TestInvitesAreBoundedAndPlatesDiffer(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	seen := map[uint32]bool{}
	for range maxInvites {
		i := d.create(t)
		if seen[i.Code.Plate] || i.Code.Plate > 99 {
			t.Errorf("nameplate %d", i.Code.Plate)
		}
		seen[i.Code.Plate] = true
	}
	if _, err := d.Create(mesh.RoleMember, 0, false, free); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v, want ErrTooMany", err)
	}
	d.now = d.now.Add(2 * time.Hour)
	i, err := d.Create(mesh.RoleMember, 0, false, func(p uint32) bool { return p <= 99 })
	if err != nil || i.Code.Plate <= 99 {
		t.Errorf("%v, %v", i, err)
	}
}

func TestUnknownInvitesCountAsExpired(t *testing.T) {
	t.Parallel()
	d := newTestDesk()
	d.create(t)
	d.ask(t, &wire.Begin{Invite: make([]byte, 16)}, anna, expired)
	d.ask(t, &wire.Begin{Nameplate: MaxPlate}, anna, expired)
}

// Whatever guests do, an invite is welcome to at most one device, and a burnt code to none that had not claimed before.
func TestAtMostOneDevicePerInvite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := newTestDesk()
		i := d.create(t)
		admitted := map[shoal.DeviceID]bool{}
		var holder *shoal.DeviceID
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			g := rapid.SampledFrom([]shoal.DeviceID{anna, ben, {3}}).Draw(t, "guest")
			code := rapid.Bool().Draw(t, "code")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				welcome, r := d.Claim(i, g, code)
				if welcome != nil && !admitted[g] {
					t.Fatalf("device %d got the welcome of another", g[0])
				}
				if r == yes && welcome == nil {
					if holder != nil {
						t.Fatal("two claims at once")
					}
					holder = &g
				}
			case 2:
				if holder != nil {
					answer := rapid.IntRange(0, 2).Draw(t, "answer")
					if answer == 0 {
						admitted[*holder] = true
						d.Settle(i, []byte{1}, false)
					} else {
						d.Settle(i, nil, answer == 1)
					}
					holder = nil
				}
			case 3:
				d.Burn(i)
			case 4:
				d.Cancel(i.Secret)
			case 5:
				d.now = d.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "min")) * time.Minute)
			}
		}
		if len(admitted) > 1 {
			t.Fatalf("%d devices admitted", len(admitted))
		}
	})
}
