package p2p

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
	"github.com/shoalmesh/shoal/p2p/internal/redial"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// reachWait is how long Join looks for the inviter, and tries again after a connection broke.
	reachWait = 30 * time.Second
	// hurryWait is how long a further inviter may take to be known after a wrong guess.
	hurryWait = 300 * time.Millisecond
	// maxInviters bounds how many inviters with the nameplate of a code are tried: each may be an impostor, and gets
	// one guess at the words.
	maxInviters = 3
)

// Join asks an inviter for admission with a code or ticket and waits until it was granted. me gives this device's name
// and HPKE key; the other fields are ignored. progress, if not nil, is told in plain words what is going on, from this
// goroutine. It returns who let this device in, and what that device gave it. While it runs the gate lets the
// inviter be dialed, and nobody else. Errors: ErrMalformedTicket, ErrWrongCode (the code is burnt now), ErrExpired,
// ErrUsed, ErrDenied, ErrNotAdmitted, ErrUnreachable (nobody found or nobody answered for 30 s), ErrClosed, or ctx's.
// The host need not Run yet. If the connection breaks while a person is being asked, Join asks again by itself.
func (h *Host) Join(ctx context.Context, codeOrTicket string, me Guest, progress func(string)) (shoal.DeviceID, []byte, error) {
	if err := me.validateSelf(); err != nil {
		return shoal.DeviceID{}, nil, err
	}
	if progress == nil {
		progress = func(string) {}
	}
	if !h.enter() {
		return shoal.DeviceID{}, nil, ErrClosed
	}
	defer h.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()
	g := &joiner{h: h, me: me, progress: progress}
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(codeOrTicket)), invite.TicketPrefix) {
		t, err := ParseTicket(codeOrTicket)
		if err != nil {
			return shoal.DeviceID{}, nil, err
		}
		welcome, err := g.byTicket(ctx, t)
		return t.Inviter, welcome, h.closedErr(err)
	}
	c, err := invite.ParseCode(codeOrTicket)
	if err != nil {
		return shoal.DeviceID{}, nil, err
	}
	inviter, welcome, err := g.byCode(ctx, c)
	return inviter, welcome, h.closedErr(err)
}

// closedErr says ErrClosed of what ended because the host did.
func (h *Host) closedErr(err error) error {
	if err != nil && h.life.Err() != nil {
		return ErrClosed
	}
	return err
}

// joiner is one Join.
type joiner struct {
	h        *Host
	me       Guest
	progress func(string)
	lastTold string
}

// tell reports each new state once.
func (g *joiner) tell(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); s != g.lastTold {
		g.lastTold = s
		g.progress(s)
	}
}

// final tells whether an error is an answer that trying again would not change.
func final(err error) bool {
	for _, answer := range []error{ErrWrongCode, ErrExpired, ErrUsed, ErrDenied, ErrNotAdmitted, ErrMalformed, ErrForged} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

func (g *joiner) byTicket(ctx context.Context, t Ticket) ([]byte, error) {
	var addrs []ma.Multiaddr
	for _, s := range t.Addrs {
		a, err := address.Parse(s, t.Inviter)
		if err != nil {
			return nil, fmt.Errorf("ticket: %w", ErrMalformedTicket)
		}
		addrs = append(addrs, a)
	}
	welcome, err := g.persist(ctx, t.Inviter, addrs, reachWait, func(s *pairStream) ([]byte, error) {
		return g.prove(s, t.Inviter, &t, invite.Code{})
	})
	if errors.Is(err, ErrUnreachable) && g.h.cfg.Clock().After(t.Expires) {
		return nil, fmt.Errorf("%w: %w", ErrExpired, err)
	}
	return welcome, err
}

// persist runs a try again and again until it brings an answer, or the inviter could not be reached: for first
// at the beginning, for reachWait once it has spoken.
func (g *joiner) persist(ctx context.Context, inviter shoal.DeviceID, addrs []ma.Multiaddr, first time.Duration, try func(*pairStream) ([]byte, error)) ([]byte, error) {
	g.h.book.Learn(inviter, addrs)
	defer g.h.gate.join(inviter)()
	lastSeen, limit := time.Now(), first
	for failures := 1; ; failures++ {
		g.tell("Connecting to the inviter …")
		reached, welcome, err := g.try(ctx, inviter, try)
		if err == nil || final(err) {
			return welcome, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		g.h.log.Debug("join", "device", inviter.String(), "err", err)
		if reached {
			lastSeen, limit, failures = time.Now(), reachWait, 1
		}
		if time.Since(lastSeen) >= limit {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if err := sleep(ctx, min(redial.Pause(failures, 0), 3*time.Second)); err != nil {
			return nil, err
		}
	}
}

// try dials once and runs f on a pairing stream; reached says whether the inviter spoke.
func (g *joiner) try(ctx context.Context, inviter shoal.DeviceID, f func(*pairStream) ([]byte, error)) (reached bool, welcome []byte, err error) {
	conn, err := g.h.dial(ctx, inviter)
	if err != nil {
		return false, nil, err
	}
	raw, err := openStream(ctx, conn, pairProtocol)
	if err != nil {
		_ = conn.Close()
		return false, nil, err
	}
	s := newPairStream(raw, &g.h.count)
	stop := context.AfterFunc(ctx, func() { _ = raw.Reset() })
	defer stop()
	welcome, err = f(s)
	_ = s.Close()
	_ = conn.Close() // links are made over connections that both gates have let through
	return true, welcome, err
}

// prove runs the guest's side of the protocol with a ticket, or with a code if t is nil.
func (g *joiner) prove(s *pairStream, inviter shoal.DeviceID, t *Ticket, c invite.Code) ([]byte, error) {
	begin := &wire.Begin{}
	var finish func([]byte) ([]byte, error)
	if t != nil {
		begin.Invite = invite.Name(t.Secret)
	} else {
		var err error
		begin.Nameplate = c.Plate
		if begin.Pake, finish, err = invite.StartPake(c, g.h.self, inviter); err != nil {
			return nil, err
		}
	}
	if err := s.send(&wire.Pair{Kind: &wire.Pair_Begin{Begin: begin}}, pairStep); err != nil {
		return nil, err
	}
	m, err := s.receive(maxPairFrame, pairStep)
	if err != nil {
		return nil, err
	}
	p := &invite.Proof{Guest: g.h.self, Inviter: inviter, Begin: begin}
	if err := takeOffer(p, m.GetOffer(), t, finish); err != nil {
		return nil, err
	}
	if err := g.sendProof(s, p); err != nil {
		return nil, err
	}
	return g.awaitWelcome(s, p)
}

// takeOffer checks the inviter's offer against the ticket, or finishes the key exchange.
func takeOffer(p *invite.Proof, o *wire.Offer, t *Ticket, finish func([]byte) ([]byte, error)) error {
	if o == nil {
		return fmt.Errorf("offer: %w", ErrMalformed)
	}
	p.Role, p.OfferPake = mesh.Role(o.Role), o.Pake
	copy(p.Mesh[:], o.Mesh)
	if t != nil {
		if p.Mesh != t.Mesh || p.Role != t.Role || len(p.OfferPake) != 0 {
			return fmt.Errorf("offer differs from the ticket: %w", ErrMalformed)
		}
		p.Key = t.Secret[:]
		return nil
	}
	key, err := finish(p.OfferPake)
	if err != nil {
		return errors.Join(ErrMalformed, err)
	}
	p.Key = key
	return nil
}

func (g *joiner) sendProof(s *pairStream, p *invite.Proof) error {
	var err error
	if p.GuestInfo, err = proto.Marshal(&wire.Guest{Name: g.me.Name, Hpke: g.me.HPKE}); err != nil {
		return fmt.Errorf("encode guest: %w", err)
	}
	proof := &wire.Proof{Guest: p.GuestInfo, Confirmation: p.Confirmation(invite.ByGuest)}
	own := g.h.ownRecord()
	if own == nil { // the host does not run yet
		if own, err = address.Sign(g.h.cfg.Identity, max(1, g.h.cfg.Clock().UnixMilli()), g.h.ownAddrs()); err != nil {
			return err
		}
	}
	proof.Addresses = own.Raw
	return s.send(&wire.Pair{Kind: &wire.Pair_Proof{Proof: proof}}, pairStep)
}

// awaitWelcome checks that the inviter knows the secret too, and waits for its answer.
func (g *joiner) awaitWelcome(s *pairStream, p *invite.Proof) ([]byte, error) {
	m, err := s.receive(maxPairFrame, pairStep)
	if err != nil {
		return nil, err
	}
	if !p.Confirms(invite.ByInviter, m.GetAccept().GetConfirmation()) {
		return nil, fmt.Errorf("the inviter does not know the secret: %w", ErrWrongCode)
	}
	if r, err := address.Open(m.GetAccept().GetAddresses()); err == nil && r.Device == p.Inviter {
		g.h.book.Accept(r)
	}
	g.tell("Waiting for approval on the other device …")
	if m, err = s.receive(maxWelcome+1024, 0); err != nil {
		return nil, err
	}
	w := m.GetWelcome()
	if w == nil {
		return nil, fmt.Errorf("welcome: %w", ErrMalformed)
	}
	// The inviter would only wait for it in vain.
	_ = s.send(&wire.Pair{Kind: &wire.Pair_Done{Done: &wire.Done{}}}, pairStep)
	_ = s.CloseWrite()
	_, _ = s.receive(maxPairFrame, pairStep)
	return w.Welcome, nil
}

// byCode looks for inviters that show the nameplate and tries them one after the other.
func (g *joiner) byCode(ctx context.Context, c invite.Code) (shoal.DeviceID, []byte, error) {
	look, cancel := context.WithTimeout(ctx, reachWait)
	found := make(chan inviterFound) // unbuffered; sent on and closed by search
	var search sync.WaitGroup
	search.Go(func() { g.h.search(look, c.Plate, found) })
	defer search.Wait()
	defer cancel()
	g.tell("Looking for the inviter …")
	tried := make(map[shoal.DeviceID]bool)
	last := fmt.Errorf("nobody shows the code's number on this network: %w", ErrUnreachable)
	for answers(tried) < maxInviters {
		f, ok := nextInviter(found, tried, errors.Is(last, ErrWrongCode))
		if !ok {
			break
		}
		// Not reached means not tried: the file or notice may be all that is left of it, or it comes back.
		welcome, err := g.persist(ctx, f.Device, f.Addrs, 0, func(s *pairStream) ([]byte, error) {
			return g.prove(s, f.Device, nil, c)
		})
		if err == nil || ctx.Err() != nil {
			return f.Device, welcome, err
		}
		tried[f.Device] = !errors.Is(err, ErrUnreachable)
		if tried[f.Device] || !errors.Is(last, ErrWrongCode) {
			last = err // silence does not hide an answer
		}
		if final(err) && !errors.Is(err, ErrWrongCode) && !errors.Is(err, ErrExpired) {
			break
		}
	}
	if ctx.Err() != nil {
		last = ctx.Err()
	}
	return shoal.DeviceID{}, nil, last
}

func answers(tried map[shoal.DeviceID]bool) int {
	n := 0
	for _, answered := range tried {
		if answered {
			n++
		}
	}
	return n
}

// nextInviter waits for an inviter that was not tried yet. After a wrong guess only one that is known already will do:
// each further one costs somebody a code.
func nextInviter(found <-chan inviterFound, tried map[shoal.DeviceID]bool, hurry bool) (inviterFound, bool) {
	var late <-chan time.Time
	if hurry {
		timer := time.NewTimer(hurryWait)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case f, ok := <-found:
			if !ok || !tried[f.Device] {
				return f, ok
			}
		case <-late:
			return inviterFound{}, false
		}
	}
}

// inviterFound is somebody who shows a nameplate.
type inviterFound = mdns.Notice

// search sends everybody who shows a nameplate, again and again, until ctx ends; then it closes found.
func (h *Host) search(ctx context.Context, plate uint32, found chan<- inviterFound) {
	defer close(found)
	var service sync.WaitGroup
	defer service.Wait()
	if h.cfg.MDNS { // a host that does not run yet has to listen for itself
		service.Go(func() { h.mdns.Run(ctx) })
	}
	heard := h.mdns.Search(ctx, plate)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, r := range h.here.Inviters(plate) {
			if r.Device == h.self {
				continue
			}
			select {
			case found <- inviterFound{Device: r.Device, Addrs: r.Addrs}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case f := <-heard:
			select {
			case found <- f:
			case <-ctx.Done():
				return
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
