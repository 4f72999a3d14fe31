package p2p

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Invite is a one-time permission for one new device to ask for admission.
type Invite struct {
	Code    string    // "7-word-word": to be spoken; holds at most 10 minutes and one guess
	Ticket  string    // "shoal1…": to be copied or scanned
	Expires time.Time // of the ticket, by this device's clock
}

// How long an invite holds if nothing else is asked for, and at most.
const (
	DefaultInviteTTL = invite.DefaultTTL
	MaxInviteTTL     = invite.MaxTTL
)

// Ticket is what the text of a ticket says. Field Secret is a secret: it never reaches a log.
type Ticket = invite.Ticket

// ParseTicket reads the text of a ticket without using it. Error: ErrMalformedTicket.
func ParseTicket(text string) (Ticket, error) { return invite.ParseTicket(text) }

// Vacancy is the mesh to give to SetMesh by a vault that waits for one. Its tickets are Vacant.
func Vacancy(vault shoal.DeviceID) shoal.MeshID { return invite.Vacancy(vault) }

// Admitter admits a guest that has proved the invite's secret. It blocks until a person has decided, unless auto says
// that the invite's maker has decided already. It returns what the guest needs (the roster), at most 64 MiB; ErrDenied if
// a person said no; any other error if it failed. Its context ends when the guest leaves and when the host closes.
type Admitter func(ctx context.Context, guest Guest, auto bool) (welcome []byte, err error)

// SetMesh sets the mesh that invites lead to. NewInvite fails before.
func (h *Host) SetMesh(id shoal.MeshID) {
	h.pairs.SetMesh(id)
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
	i, err := h.pairs.Create(role, ttl, autoAdmit, h.here.PlateTaken)
	if err != nil {
		return Invite{}, err
	}
	t := Ticket{Inviter: h.self, Mesh: i.Mesh, Role: role, Expires: i.Expires, Secret: i.Secret}
	for _, a := range ticketAddrs(h.directAddrs()) {
		t.Addrs = append(t.Addrs, a.String())
	}
	text, err := t.Encode()
	if err != nil {
		return Invite{}, err
	}
	return Invite{Code: i.Code.String(), Ticket: text, Expires: i.Expires}, nil
}

// ticketAddrs chooses from the own addresses, best first: TCP before QUIC, and one of this machine itself.
func ticketAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	var tcp, quic []ma.Multiaddr
	var here ma.Multiaddr
	for _, a := range addrs {
		switch {
		case address.Order(a) >= 20 && !address.IsTCP(a): // QUIC to this machine itself serves nobody
		case address.Order(a) >= 20:
			if here == nil {
				here = a
			}
		case address.IsTCP(a):
			tcp = append(tcp, a)
		default:
			quic = append(quic, a)
		}
	}
	out := append(tcp[:min(len(tcp), invite.MaxAddrs-2):min(len(tcp), invite.MaxAddrs-2)], quic...)
	out = out[:min(len(out), invite.MaxAddrs-1)]
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
	h.pairs.Cancel(t.Secret)
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
	guest, ok := address.FromPeer(raw.Conn().RemotePeer())
	if !ok {
		return
	}
	defer h.idle.use(raw.Conn())()
	defer context.AfterFunc(h.life, func() { _ = raw.Reset() })()
	if err := h.servePair(s, guest); err != nil {
		h.log.Info("pairing ended", "device", guest.String(), "err", err)
	}
	_ = s.Close()
}

// servePair runs the inviter's side of the protocol: begin, offer, proof, accept, welcome, done.
func (h *Host) servePair(s *pairStream, guest shoal.DeviceID) error {
	m, err := s.receive(maxPairFrame, pairStep)
	begin := m.GetBegin()
	if errors.Is(err, ErrMalformed) || err == nil && begin == nil {
		s.refuse(wire.Reason_REASON_MALFORMED)
		return ErrMalformed
	}
	if err != nil {
		return err
	}
	i, reason := h.pairs.Find(begin, guest)
	if reason != 0 {
		s.refuse(reason)
		return refusalError(reason)
	}
	p := &invite.Proof{Guest: guest, Inviter: h.self, Mesh: i.Mesh, Role: i.Role, Begin: begin, Key: i.Secret[:]}
	if begin.Nameplate != 0 {
		p.OfferPake, p.Key, err = invite.AnswerPake(i.Code, guest, h.self, begin.Pake)
		if err != nil {
			s.refuse(wire.Reason_REASON_MALFORMED)
			return errors.Join(ErrMalformed, err)
		}
	}
	offer := &wire.Offer{Mesh: i.Mesh[:], Role: uint32(i.Role), Pake: p.OfferPake}
	if err := s.send(&wire.Pair{Kind: &wire.Pair_Offer{Offer: offer}}, pairStep); err != nil {
		return err
	}
	if m, err = s.receive(maxPairFrame, pairStep); err != nil {
		return err // no proof, so no guess: the guest has learnt nothing about the words
	}
	if m.GetProof() == nil {
		return fmt.Errorf("proof: %w", ErrMalformed)
	}
	return h.judgeProof(s, i, p, m.GetProof())
}

// judgeProof checks the guest's proof and, if it holds, has the guest admitted.
func (h *Host) judgeProof(s *pairStream, i *invite.Invite, p *invite.Proof, proof *wire.Proof) error {
	byCode := p.Begin.Nameplate != 0
	p.GuestInfo = proof.GetGuest()
	if !p.Confirms(invite.ByGuest, proof.GetConfirmation()) {
		if byCode {
			h.pairs.Burn(i)
		}
		s.refuse(wire.Reason_REASON_WRONG_CODE)
		return ErrWrongCode
	}
	var info wire.Guest
	g := Guest{Device: p.Guest, Role: i.Role, Via: ViaTicket, Address: s.Conn().RemoteMultiaddr().String()}
	if byCode {
		g.Via = ViaCode
	}
	if err := proto.Unmarshal(p.GuestInfo, &info); err == nil {
		g.Name, g.HPKE = info.Name, info.Hpke
	}
	if err := g.validateSelf(); err != nil {
		s.refuse(wire.Reason_REASON_MALFORMED)
		return err
	}
	welcome, reason := h.pairs.Claim(i, p.Guest, byCode)
	if reason != 0 {
		s.refuse(reason)
		return refusalError(reason)
	}
	if r, err := address.Open(proof.GetAddresses()); err == nil && r.Device == p.Guest {
		h.book.Accept(r)
	}
	return h.admitGuest(s, i, p, g, welcome)
}

// admitGuest tells the guest that its proof holds, has the admitter decide, and delivers the answer.
func (h *Host) admitGuest(s *pairStream, i *invite.Invite, p *invite.Proof, g Guest, welcome []byte) error {
	settled := welcome != nil
	denied := false
	defer func() {
		if !settled {
			h.pairs.Settle(i, welcome, denied)
		}
	}()
	accept := &wire.Accept{Confirmation: p.Confirmation(invite.ByInviter)}
	if own := h.ownRecord(); own != nil {
		accept.Addresses = own.Raw
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
		welcome, err = h.askAdmitter(ctx, g, i.Auto)
		denied = errors.Is(err, ErrDenied)
		h.pairs.Settle(i, welcome, denied)
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
			h.here.Show(nil)
			return
		case <-h.pairs.Changed():
		case <-timer.C:
		}
		show, until := h.pairs.Plates()
		h.here.Show(show)
		h.mdns.Show(show)
		pause := time.Hour
		if !until.IsZero() {
			pause = max(until.Sub(h.cfg.Clock()), time.Second)
		}
		timer.Reset(pause)
	}
}
