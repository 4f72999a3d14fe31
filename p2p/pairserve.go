package p2p

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"filippo.io/cpace"
	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Invite is a one-time permission for one new device to ask for admission.
type Invite struct {
	Code    string    // "7-word-word": to be spoken; holds at most 10 minutes and one guess
	Ticket  string    // "shoal1…": to be copied or scanned
	Expires time.Time // of the ticket, by this device's clock
}

// Admitter admits a guest that has proved the invite's secret. It blocks until a person has decided, unless auto says
// that the invite's maker has decided already. It returns what the guest needs (the roster), at most 64 MiB; ErrDenied if
// a person said no; any other error if it failed. Its context ends when the guest leaves and when the host closes.
type Admitter func(ctx context.Context, guest Guest, auto bool) (welcome []byte, err error)

// SetMesh sets the mesh that invites lead to. NewInvite fails before.
func (h *Host) SetMesh(id shoal.MeshID) {
	h.pairs.mu.Lock()
	defer h.pairs.mu.Unlock()
	h.pairs.mesh = id
}

// SetAdmitter sets who decides about guests. Without one every guest is told that it could not be admitted.
func (h *Host) SetAdmitter(admit Admitter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.admit = admit
}

// NewInvite makes an invite for one device with a role. A ttl of 0 means DefaultInviteTTL, the most is MaxInviteTTL.
// With autoAdmit the admitter is told not to ask. Invites live in memory: they end with the host. At most 16 are open
// (ErrTooManyInvites). The code is found over mDNS and on this machine while the host runs.
func (h *Host) NewInvite(role mesh.Role, ttl time.Duration, autoAdmit bool) (Invite, error) {
	i, err := h.pairs.create(role, ttl, autoAdmit, h.here.plateTaken)
	if err != nil {
		return Invite{}, err
	}
	t := Ticket{Inviter: h.self, Mesh: i.mesh, Role: role, Expires: i.expires, secret: i.secret}
	for _, a := range ticketAddrs(h.ownAddrs()) {
		t.Addrs = append(t.Addrs, a.String())
	}
	text, err := t.encode()
	if err != nil {
		return Invite{}, err
	}
	return Invite{Code: i.code.String(), Ticket: text, Expires: i.expires}, nil
}

// ticketAddrs chooses from the own addresses, best first: TCP before QUIC, and one of this machine itself.
func ticketAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	var tcp, quic []ma.Multiaddr
	var here ma.Multiaddr
	for _, a := range addrs {
		switch {
		case addrOrder(a) >= 20 && !isTCP(a): // QUIC to this machine itself serves nobody
		case addrOrder(a) >= 20:
			if here == nil {
				here = a
			}
		case isTCP(a):
			tcp = append(tcp, a)
		default:
			quic = append(quic, a)
		}
	}
	out := append(tcp[:min(len(tcp), maxTicketAddrs-2):min(len(tcp), maxTicketAddrs-2)], quic...)
	out = out[:min(len(out), maxTicketAddrs-1)]
	if here != nil {
		out = append(out, here)
	}
	return out
}

// CancelInvite shuts an invite that NewInvite returned, unless a guest has proved its secret already.
func (h *Host) CancelInvite(i Invite) {
	t, err := ParseTicket(i.Ticket)
	if err != nil {
		return
	}
	h.pairs.cancel(func(i *invite) bool { return i.secret == t.secret })
}

// acceptPair serves a guest.
func (h *Host) acceptPair(raw network.Stream) {
	if !h.enter() {
		_ = raw.Reset()
		return
	}
	defer h.leave()
	s := newPairStream(raw, &h.count)
	defer s.finish()
	guest, ok := deviceID(raw.Conn().RemotePeer())
	if !ok {
		return
	}
	defer h.pairs.serve(raw.Conn())()
	defer context.AfterFunc(h.life, func() { _ = raw.Reset() })()
	if err := h.servePair(s, guest); err != nil {
		h.log.Info("pairing ended", "device", guest.String(), "err", err)
	}
	_ = s.Close()
}

// servePair runs the inviter's side of the protocol: begin, offer, proof, accept, welcome, done.
func (h *Host) servePair(s *pairStream, guest shoal.DeviceID) error {
	m, err := s.receive(maxPairFrame, pairStep)
	if err != nil {
		return err
	}
	begin := m.GetBegin()
	if err := checkBegin(begin); err != nil {
		s.refuse(wire.Reason_REASON_MALFORMED)
		return err
	}
	i, reason := h.pairs.find(begin, guest)
	if reason != 0 {
		s.refuse(reason)
		return refusalError(reason)
	}
	p := &pairing{guest: guest, inviter: h.self, mesh: i.mesh, role: i.role, begin: begin, key: i.secret[:]}
	if begin.Nameplate != 0 {
		p.offerPake, p.key, err = cpace.Exchange(i.code.words, pakeContext(guest, h.self, begin.Nameplate), begin.Pake)
		if err != nil {
			s.refuse(wire.Reason_REASON_MALFORMED)
			return fmt.Errorf("key exchange: %w", ErrMalformed)
		}
	}
	offer := &wire.Offer{Mesh: i.mesh[:], Role: uint32(i.role), Pake: p.offerPake}
	if err := s.send(&wire.Pair{Kind: &wire.Pair_Offer{Offer: offer}}, pairStep); err != nil {
		return err
	}
	if m, err = s.receive(maxPairFrame, pairStep); err != nil {
		return err // no proof, so no guess: the guest has learnt nothing about the words
	}
	return h.judgeProof(s, i, p, m.GetProof())
}

// judgeProof checks the guest's proof and, if it holds, has the guest admitted.
func (h *Host) judgeProof(s *pairStream, i *invite, p *pairing, proof *wire.Proof) error {
	byCode := p.begin.Nameplate != 0
	p.guestInfo = proof.GetGuest()
	if !p.confirms(ctxGuestConfirm, proof.GetConfirmation()) {
		if byCode {
			h.pairs.burn(i)
		}
		s.refuse(wire.Reason_REASON_WRONG_CODE)
		return ErrWrongCode
	}
	var info wire.Guest
	g := Guest{Device: p.guest, Role: i.role, Via: ViaTicket, Address: s.Conn().RemoteMultiaddr().String()}
	if byCode {
		g.Via = ViaCode
	}
	if err := proto.Unmarshal(p.guestInfo, &info); err == nil {
		g.Name, g.HPKE = info.Name, info.Hpke
	}
	if err := g.validateSelf(); err != nil {
		s.refuse(wire.Reason_REASON_MALFORMED)
		return err
	}
	welcome, reason := h.pairs.claim(i, p.guest, byCode)
	if reason != 0 {
		s.refuse(reason)
		return refusalError(reason)
	}
	if r, err := openRecord(proof.GetAddresses()); err == nil && r.device == p.guest {
		h.book.accept(r)
	}
	return h.admitGuest(s, i, p, g, welcome)
}

// admitGuest tells the guest that its proof holds, has the admitter decide, and delivers the answer.
func (h *Host) admitGuest(s *pairStream, i *invite, p *pairing, g Guest, welcome []byte) error {
	settled := welcome != nil
	denied := false
	defer func() {
		if !settled {
			h.pairs.settle(i, welcome, denied)
		}
	}()
	accept := &wire.Accept{Confirmation: p.confirmation(ctxInvitConfirm)}
	if own := h.ownRecord(); own != nil {
		accept.Addresses = own.raw
	}
	if err := s.send(&wire.Pair{Kind: &wire.Pair_Accept{Accept: accept}}, pairStep); err != nil {
		return err
	}
	answered := make(chan error, 1) // one send, by the reader below
	ctx, cancel := context.WithCancel(h.life)
	defer cancel()
	go func() { // ends with the stream, which acceptPair finishes; it says when the guest leaves
		m, err := s.receive(maxPairFrame, 0)
		if err == nil && m.GetDone() == nil {
			err = ErrMalformed
		}
		cancel()
		answered <- err
	}()
	var err error
	if !settled {
		welcome, err = h.askAdmitter(ctx, g, i.auto)
		denied = errors.Is(err, ErrDenied)
		h.pairs.settle(i, welcome, denied)
		settled = true
	}
	if err != nil {
		reason := wire.Reason_REASON_NOT_ADMITTED
		if denied {
			reason = wire.Reason_REASON_DENIED
		}
		_ = s.send(&wire.Pair{Kind: &wire.Pair_Refusal{Refusal: &wire.Refusal{Reason: reason}}}, pairStep)
	} else if err = s.send(&wire.Pair{Kind: &wire.Pair_Welcome{Welcome: &wire.Welcome{Welcome: welcome}}}, 6*pairStep); err != nil {
		_ = s.Reset()
	}
	timer := time.AfterFunc(pairStep, func() { _ = s.Reset() })
	defer timer.Stop()
	return errors.Join(err, <-answered)
}

// askAdmitter calls the admitter and checks what it returns.
func (h *Host) askAdmitter(ctx context.Context, g Guest, auto bool) ([]byte, error) {
	h.mu.Lock()
	admit := h.admit
	h.mu.Unlock()
	if admit == nil {
		return nil, ErrNotAdmitted
	}
	h.log.Info("a device asks to join", "device", g.Device.String(), "role", g.Role.String(), "via", g.Via)
	welcome, err := admit(ctx, g, auto)
	switch {
	case err != nil:
		return nil, fmt.Errorf("admit %s: %w", strings.ToValidUTF8(g.Name, "?"), err)
	case len(welcome) > maxWelcome:
		return nil, fmt.Errorf("welcome of %d bytes: %w", len(welcome), ErrNotAdmitted)
	case welcome == nil:
		welcome = []byte{}
	}
	return welcome, nil
}

// runPlates shows the nameplates of open codes, on this machine and on the local network, until ctx ends.
func (h *Host) runPlates(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			h.here.show(nil)
			return
		case <-h.pairs.bell:
		case <-timer.C:
		}
		show, until := h.pairs.plates()
		h.here.show(show)
		h.mdns.show(show)
		pause := time.Hour
		if !until.IsZero() {
			pause = max(until.Sub(h.cfg.Clock()), time.Second)
		}
		timer.Reset(pause)
	}
}
