package p2p

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
)

// testMesh is the mesh that test invites lead to.
var testMesh = shoal.MeshID{1, 2, 3}

// inviterHost makes a host that admits everybody who asks, with a welcome that names the guest.
func (n *testNet) inviterHost(change ...func(*Config)) *testHost {
	h := n.host(func(c *Config) {
		for _, f := range change {
			f(c)
		}
	})
	h.SetMesh(testMesh)
	h.SetAdmitter(func(_ context.Context, g Guest, _ bool) ([]byte, error) {
		return []byte("welcome " + g.Name), nil
	})
	return h
}

// guest is what a joining device says of itself.
func guest(name string) Guest { return Guest{Name: name, HPKE: bytes.Repeat([]byte{7}, 1216)} }

func (h *testHost) invite() Invite {
	h.net.t.Helper()
	i, err := h.NewInvite(mesh.RoleMember, time.Minute, false)
	if err != nil {
		h.net.t.Fatal(err)
	}
	return i
}

func (h *testHost) join(with, name string) (shoal.DeviceID, string, error) {
	h.net.t.Helper()
	ctx, cancel := context.WithTimeout(h.net.t.Context(), patience)
	defer cancel()
	dev, welcome, err := h.Join(ctx, with, guest(name), func(s string) { h.log.Info("progress", "s", s) })
	return dev, string(welcome), err
}

// otherWords is a code with the same nameplate and other words.
func otherWords(t *testing.T, text string) string {
	t.Helper()
	c, err := invite.ParseCode(text)
	if err != nil {
		t.Fatal(err)
	}
	words := "abandon-ability"
	if c.Words == words {
		words = "ability-abandon"
	}
	return invite.Code{Plate: c.Plate, Words: words}.String()
}

func TestGuestJoinsWithTicket(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	i := a.invite()
	ticket, err := ParseTicket(i.Ticket)
	if err != nil || ticket.Inviter != a.Device() || ticket.Mesh != testMesh || ticket.Role != mesh.RoleMember || len(ticket.Addrs) == 0 {
		t.Fatalf("ticket %+v, %v", ticket, err)
	}
	dev, welcome, err := g.join(strings.ToUpper(i.Ticket)+"\n", "laptop")
	if err != nil || dev != a.Device() || welcome != "welcome laptop" {
		t.Fatalf("from %s: %q, %v", dev, welcome, err)
	}
	if len(g.KnownAddrs(a.Device())) == 0 || len(a.KnownAddrs(g.Device())) == 0 {
		t.Fatal("after pairing the two do not know each other's addresses")
	}
}

func TestGuestJoinsWithCodeOnTheSameMachine(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	dev, welcome, err := g.join(strings.ReplaceAll(a.invite().Code, "-", " "), "laptop")
	if err != nil || dev != a.Device() || welcome != "welcome laptop" {
		t.Fatalf("from %s: %q, %v", dev, welcome, err)
	}
}

func TestGuestJoinsBeforeItRuns(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a := n.inviterHost()
	i := a.invite()
	for _, with := range []string{i.Ticket, a.invite().Code} {
		g, err := New(Config{Identity: newIdentity(t), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{n.dir}})
		if err != nil {
			t.Fatal(err)
		}
		if _, welcome, err := g.Join(t.Context(), with, guest("laptop"), nil); err != nil || string(welcome) != "welcome laptop" {
			t.Errorf("%q, %v", welcome, err)
		}
		if len(a.KnownAddrs(g.Device())) == 0 {
			t.Error("the inviter does not know where its guest is")
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCodeOfADeadInviterDoesNotHideALiveOne(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	i := a.invite()
	c, err := invite.ParseCode(i.Code)
	if err != nil {
		t.Fatal(err)
	}
	dead := n.host(func(c *Config) { c.RuntimeDirs = []string{n.dir} })
	dead.here.Show(map[uint32]bool{c.Plate: true})
	r := dead.ownRecord()
	dead.stop()
	n.leaveNote(r, c.Plate)
	if _, welcome, err := g.join(i.Code, "laptop"); err != nil || welcome != "welcome laptop" {
		t.Fatalf("%q, %v", welcome, err)
	}
}

func TestUsedInviteAdmitsNobodyElse(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g, other := n.inviterHost(), n.host(nil), n.host(nil)
	i := a.invite()
	if _, _, err := g.join(i.Ticket, "first"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.join(i.Ticket, "second"); !errors.Is(err, ErrUsed) {
		t.Fatalf("ticket again: %v, want ErrUsed", err)
	}
	if _, welcome, err := g.join(i.Ticket, "first"); err != nil || welcome != "welcome first" {
		t.Fatalf("the admitted device asks again: %q, %v", welcome, err)
	}
}

func TestWrongCodeIsBurntAndTheTicketIsNot(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	i := a.invite()
	if _, _, err := g.join(otherWords(t, i.Code), "laptop"); !errors.Is(err, ErrWrongCode) {
		t.Fatalf("wrong words: %v, want ErrWrongCode", err)
	}
	// The nameplate is gone, so ask the inviter straight away.
	c, _ := invite.ParseCode(i.Code)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	j := &joiner{h: g.Host, me: guest("laptop"), progress: func(string) {}}
	_, err := j.persist(ctx, a.Device(), nil, patience, func(s *pairStream) ([]byte, error) { return j.prove(s, a.Device(), nil, c) })
	if !errors.Is(err, ErrUsed) {
		t.Fatalf("right words after a wrong guess: %v, want ErrUsed", err)
	}
	if _, _, err := g.join(i.Ticket, "laptop"); err != nil {
		t.Fatalf("ticket after a wrong guess of the code: %v", err)
	}
}

func TestExpiredAndCancelledInvites(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	clock := newTestClock()
	a, g := n.inviterHost(func(c *Config) { c.Clock = clock.now }), n.host(nil)
	old, gone := a.invite(), a.invite()
	a.CancelInvite(gone)
	if _, _, err := g.join(gone.Ticket, "laptop"); !errors.Is(err, ErrUsed) {
		t.Fatalf("cancelled ticket: %v, want ErrUsed", err)
	}
	clock.add(time.Minute + time.Second)
	if _, _, err := g.join(old.Ticket, "laptop"); !errors.Is(err, ErrExpired) {
		t.Fatalf("old ticket: %v, want ErrExpired", err)
	}
}

func TestDeniedGuestIsToldSo(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	a.SetAdmitter(func(context.Context, Guest, bool) ([]byte, error) { return nil, ErrDenied })
	i := a.invite()
	for range 2 {
		if _, _, err := g.join(i.Ticket, "laptop"); !errors.Is(err, ErrDenied) {
			t.Fatalf("%v, want ErrDenied", err)
		}
	}
	if _, _, err := n.host(nil).join(i.Ticket, "other"); !errors.Is(err, ErrUsed) {
		t.Fatalf("after a denial: %v, want ErrUsed", err)
	}
}

func TestAdmitterLearnsWhoAsks(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	var got Guest
	var auto bool
	a.SetAdmitter(func(_ context.Context, g Guest, yes bool) ([]byte, error) {
		got, auto = g, yes
		return nil, nil
	})
	i, err := a.NewInvite(mesh.RoleReader, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.join(i.Code, "Küche"); err != nil {
		t.Fatal(err)
	}
	want := guest("Küche")
	if got.Device != g.Device() || got.Name != want.Name || !bytes.Equal(got.HPKE, want.HPKE) || got.Role != mesh.RoleReader ||
		got.Via != ViaCode || got.Address == "" || !auto {
		t.Fatalf("guest %+v, auto %v", got, auto)
	}
}

func TestInviteOutlivesAGuestThatLeaves(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	asked, left := make(chan struct{}), make(chan struct{})
	a.SetAdmitter(func(ctx context.Context, _ Guest, _ bool) ([]byte, error) {
		close(asked)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	})
	i := a.invite()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := g.Join(ctx, i.Ticket, guest("laptop"), nil)
		done <- err
	}()
	wait(t, asked)
	leave()
	wait(t, left)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("guest that left: %v", err)
	}
	a.SetAdmitter(func(_ context.Context, g Guest, _ bool) ([]byte, error) { return []byte(g.Name), nil })
	if _, welcome, err := n.host(nil).join(i.Ticket, "other"); err != nil || welcome != "other" {
		t.Fatalf("%q, %v", welcome, err)
	}
}

func TestGuestThatMissedItsWelcomeGetsItAgain(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	calls := 0
	a.SetAdmitter(func(_ context.Context, guest Guest, _ bool) ([]byte, error) {
		calls++
		a.Disconnect(guest.Device) // the connection breaks between the decision and its delivery
		return []byte("in"), nil
	})
	if _, welcome, err := g.join(a.invite().Ticket, "laptop"); err != nil || welcome != "in" || calls != 1 {
		t.Fatalf("%q, %v after %d questions", welcome, err, calls)
	}
}

func TestGuestReachesNothingButPairing(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a := n.host(nil, echo)
	a.SetMesh(testMesh)
	g := n.host(nil)
	a.invite()
	defer g.gate.join(a.Device())()
	g.LearnAddrs(a.Device(), a.Addrs())
	conn, err := g.dial(t.Context(), a.Device())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := openStream(t.Context(), conn, echoProtocol); err == nil {
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Fatal("a guest's stream of another protocol lives")
		}
	}
	if raw, err := openStream(t.Context(), conn, linkProtocol); err == nil {
		if _, err := g.makeLink(t.Context(), raw, a.Device(), true); err == nil {
			t.Fatal("a guest got a link")
		}
	}
	if len(a.Peers()) != 0 {
		t.Fatal("a guest counts as connected")
	}
}

func TestStrangerIsRefusedWithoutInvite(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	g.LearnAddrs(a.Device(), a.Addrs())
	defer g.gate.join(a.Device())()
	conn, err := g.dial(t.Context(), a.Device())
	if err != nil {
		return
	}
	if _, err := openStream(t.Context(), conn, pairProtocol); err == nil {
		t.Fatal("a stranger got a pairing stream")
	}
}

func TestJoinWithoutInviterEnds(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a, g := n.inviterHost(), n.host(nil)
	i := a.invite()
	a.stop()
	for _, with := range []string{i.Ticket, i.Code} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if _, _, err := g.Join(ctx, with, guest("laptop"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
		cancel()
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := g.Join(context.Background(), i.Ticket, guest("laptop"), nil)
		done <- err
	}()
	g.stop()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

func TestNonsenseIsNoInvite(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	g := n.host(nil)
	for _, with := range []string{"", "shoal1", "shoal1abc", "7-abandon", "7-abandon-abandonn", "0-abandon-ability", "x-abandon-ability", "7-abandon-ability-able"} {
		if _, _, err := g.join(with, "laptop"); !errors.Is(err, ErrMalformedTicket) {
			t.Errorf("%q: %v, want ErrMalformedTicket", with, err)
		}
	}
	for name, me := range map[string]Guest{"no name": guest(""), "line break": guest("a\nb"), "long": guest(strings.Repeat("x", 65)), "no key": {Name: "x"}} {
		if _, _, err := g.Join(t.Context(), "7-abandon-ability", me, nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func TestInviteNeedsMeshAndRange(t *testing.T) {
	t.Parallel()
	n := newTestNet(t)
	a := n.host(nil)
	if _, err := a.NewInvite(mesh.RoleMember, 0, false); !errors.Is(err, ErrRange) {
		t.Errorf("without mesh: %v", err)
	}
	a.SetMesh(testMesh)
	if _, err := a.NewInvite(mesh.RoleMember, MaxInviteTTL+1, false); !errors.Is(err, ErrRange) {
		t.Errorf("too long: %v", err)
	}
	if _, err := a.NewInvite(0, 0, false); err == nil {
		t.Error("an invite without role")
	}
}

// leaveNote puts a record under a nameplate into the runtime folder, as a crashed inviter would.
func (n *testNet) leaveNote(r *address.Record, plate uint32) {
	n.t.Helper()
	b := newBoard(n.dir)
	b.Publish(r)
	b.Show(map[uint32]bool{plate: true})
}

func wait(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
}
