package p2p

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// DefaultInviteTTL is how long an invite holds when nothing else is asked for.
	DefaultInviteTTL = 10 * time.Minute
	// MaxInviteTTL bounds how long a ticket may hold.
	MaxInviteTTL = 30 * 24 * time.Hour
	// codeTTL bounds how long a spoken code holds: its few bits are worth one guess only while it is fresh.
	codeTTL = 10 * time.Minute
	// maxInvites bounds the open invites.
	maxInvites = 16
	// inviteMemory is how long a closed invite is remembered, so that its next guest learns why.
	inviteMemory = time.Hour
)

// inviteState is where an invite stands.
//
//	open --claim--> claimed by one guest --settle: welcome--> admitted
//	                                     --settle: denied---> shut
//	                                     --settle: neither--> open (the guest left, or the admitter failed)
//	open --cancel--> shut
type inviteState uint8

const (
	inviteOpen inviteState = iota
	inviteClaimed
	inviteAdmitted
	inviteShut
)

// invite is one one-time permission to ask.
type invite struct {
	// set once
	name        [16]byte // how a ticket's guest names it; tells nothing of the secret
	secret      [16]byte
	code        code
	mesh        shoal.MeshID
	role        mesh.Role
	auto        bool
	expires     time.Time
	codeExpires time.Time

	// guarded by inviter.mu
	state   inviteState
	burnt   bool           // the code had its wrong guess
	guest   shoal.DeviceID // claimed and admitted: by whom
	busy    bool           // claimed: the admitter is at work for that guest
	denied  bool           // shut because a person said no
	welcome []byte         // admitted: what the guest gets, again if it has to ask again
}

// inviter keeps the invites of this host. It decides, and carries nothing out. Safe for concurrent use.
type inviter struct {
	clock func() time.Time
	rand  io.Reader
	bell  chan struct{} // depth 1: the plates to show have changed

	mu      sync.Mutex // guards mesh, invites and their changing fields, serving
	mesh    shoal.MeshID
	invites []*invite
	serving map[network.Conn]int // connections on which a guest is being served
}

func newInviter(clock func() time.Time, rand io.Reader) *inviter {
	return &inviter{clock: clock, rand: rand, bell: make(chan struct{}, 1), serving: make(map[network.Conn]int)}
}

// open tells whether strangers may knock: some invite is not over.
func (v *inviter) open() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	return slices.ContainsFunc(v.invites, func(i *invite) bool { return i.state != inviteShut && now.Before(i.expires) })
}

// create makes an invite. taken says which nameplates others show. Errors: ErrTooManyInvites, a bad role or time.
func (v *inviter) create(role mesh.Role, ttl time.Duration, auto bool, taken func(uint32) bool) (*invite, error) {
	if err := role.Validate(); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	if ttl == 0 {
		ttl = DefaultInviteTTL
	}
	if ttl < time.Second || ttl > MaxInviteTTL {
		return nil, fmt.Errorf("invite for %s: %w", ttl, ErrMalformed)
	}
	i := &invite{role: role, auto: auto}
	if _, err := io.ReadFull(v.rand, i.secret[:]); err != nil {
		return nil, fmt.Errorf("draw secret: %w", err)
	}
	copy(i.name[:], inviteName(i.secret))
	words, err := newWords(v.rand)
	if err != nil {
		return nil, err
	}
	start, err := randomNumber(v.rand)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	v.expire(now)
	if v.mesh == (shoal.MeshID{}) {
		return nil, fmt.Errorf("invite without mesh: call SetMesh first: %w", ErrMalformed)
	}
	if v.countOpen(now) >= maxInvites {
		return nil, ErrTooManyInvites
	}
	i.mesh = v.mesh
	i.expires = now.Add(ttl).Truncate(time.Second)
	i.codeExpires = now.Add(min(ttl, codeTTL))
	i.code = code{plate: v.freePlate(start, taken), words: words}
	v.invites = append(v.invites, i)
	v.ring()
	return i, nil
}

// freePlate looks for a number that nobody near shows: one or two digits if possible. The caller holds mu.
func (v *inviter) freePlate(start uint64, taken func(uint32) bool) uint32 {
	for _, limit := range []uint64{99, maxPlate} {
		for k := range limit {
			p := uint32(1 + (start+k)%limit)
			own := slices.ContainsFunc(v.invites, func(i *invite) bool { return i.code.plate == p })
			if !own && !taken(p) {
				return p
			}
		}
	}
	return uint32(1 + start%maxPlate)
}

func (v *inviter) countOpen(now time.Time) int {
	n := 0
	for _, i := range v.invites {
		if i.state == inviteOpen && now.Before(i.expires) {
			n++
		}
	}
	return n
}

// expire forgets invites that nobody will ask for any more; the caller holds mu.
func (v *inviter) expire(now time.Time) {
	v.invites = slices.DeleteFunc(v.invites, func(i *invite) bool { return now.After(i.expires.Add(inviteMemory)) })
	for len(v.invites) > 16*maxInvites { // cancelled ones of a long life
		v.invites = slices.Delete(v.invites, 0, 1)
	}
}

// ring tells that the plates may have changed.
func (v *inviter) ring() {
	select {
	case v.bell <- struct{}{}:
	default:
	}
}

// plates returns the nameplates to show now, and when that will change by itself (zero: never).
func (v *inviter) plates() (show map[uint32]bool, until time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	show = make(map[uint32]bool)
	for _, i := range v.invites {
		if i.burnt || i.state == inviteShut || !now.Before(i.codeExpires) {
			continue
		}
		show[i.code.plate] = true
		if until.IsZero() || i.codeExpires.Before(until) {
			until = i.codeExpires
		}
	}
	return show, until
}

// find looks up the invite that a guest asks for. The reason is 0 if it may go on and prove the secret.
func (v *inviter) find(b *wire.Begin, guest shoal.DeviceID) (*invite, wire.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	var found *invite
	byCode := b.Nameplate != 0
	for _, i := range v.invites {
		// Of several old ones with one plate the latest counts.
		if byCode && i.code.plate == b.Nameplate || !byCode && string(i.name[:]) == string(b.Invite) {
			found = i
		}
	}
	if found == nil {
		return nil, wire.Reason_REASON_EXPIRED
	}
	return found, found.refusal(guest, byCode, now)
}

// refusal says why a guest may not use i, or 0. The caller holds inviter.mu.
func (i *invite) refusal(guest shoal.DeviceID, byCode bool, now time.Time) wire.Reason {
	own := i.guest == guest
	switch {
	case i.state == inviteShut && i.denied && own:
		return wire.Reason_REASON_DENIED
	case i.state == inviteShut, (i.state == inviteClaimed || i.state == inviteAdmitted) && !own, byCode && i.burnt:
		return wire.Reason_REASON_USED
	case (i.state == inviteClaimed || i.state == inviteAdmitted) && own:
		return 0 // it was in time; its connection broke
	case !now.Before(i.expires), byCode && !now.Before(i.codeExpires):
		return wire.Reason_REASON_EXPIRED
	}
	return 0
}

// burn notes a wrong guess of the code.
func (v *inviter) burn(i *invite) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i.burnt = true
	v.ring()
}

// claim gives i to a guest that has proved the secret. With a welcome there is nothing left to ask anybody; the
// reason says why not, or is 0. Exactly one session at a time holds a claim; it must settle it.
func (v *inviter) claim(i *invite, guest shoal.DeviceID, byCode bool) (welcome []byte, reason wire.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if reason := i.refusal(guest, byCode, v.clock()); reason != 0 {
		return nil, reason
	}
	if i.state == inviteAdmitted {
		return i.welcome, 0
	}
	if i.busy {
		return nil, wire.Reason_REASON_BUSY
	}
	i.state, i.guest, i.busy = inviteClaimed, guest, true
	v.ring()
	return nil, 0
}

// settle ends a claim with the admitter's answer.
func (v *inviter) settle(i *invite, welcome []byte, denied bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i.busy = false
	switch {
	case denied:
		i.state, i.denied = inviteShut, true
	case welcome != nil:
		i.state, i.welcome = inviteAdmitted, welcome
	default:
		i.state, i.guest = inviteOpen, shoal.DeviceID{}
	}
	v.ring()
}

// cancel shuts the invite with that secret name, unless it has a guest already.
func (v *inviter) cancel(match func(*invite) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.invites {
		if match(i) && i.state == inviteOpen {
			i.state = inviteShut
		}
	}
	v.ring()
}

// serve notes that conn is in use for pairing until the returned function is called.
func (v *inviter) serve(conn network.Conn) (done func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.serving[conn]++
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.serving[conn]--; v.serving[conn] == 0 {
			delete(v.serving, conn)
		}
	}
}

func (v *inviter) serves(conn network.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.serving[conn] > 0
}

// inviteName is how the guest of a ticket names the invite before it has proved anything.
func inviteName(secret [16]byte) []byte {
	name := make([]byte, 16)
	blake3.DeriveKey(ctxInviteName, secret[:], name)
	return name
}
