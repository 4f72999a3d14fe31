package invite

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// DefaultTTL is how long an invite holds when nothing else is asked for.
	DefaultTTL = 10 * time.Minute
	// MaxTTL bounds how long a ticket may hold.
	MaxTTL = 30 * 24 * time.Hour
	// codeTTL bounds how long a spoken code holds: its few bits are worth one guess only while it is fresh.
	codeTTL = 10 * time.Minute
	// maxInvites bounds the open invites.
	maxInvites = 16
	// inviteMemory is how long a closed invite is remembered, so that its next guest learns why.
	inviteMemory = time.Hour
)

// state is where an invite stands.
//
//	open --claim--> claimed by one guest --settle: welcome--> admitted
//	                                     --settle: denied---> shut
//	                                     --settle: neither--> open (the guest left, or the admitter failed)
//	open --cancel--> shut
type state uint8

const (
	open state = iota
	claimed
	admitted
	shut
)

// Invite is one one-time permission to ask.
type Invite struct {
	// set once
	name        [16]byte // how a ticket's guest names it; tells nothing of the secret
	Secret      Secret
	Code        Code
	Mesh        shoal.MeshID
	Role        mesh.Role
	Auto        bool
	Expires     time.Time
	codeExpires time.Time

	// guarded by Desk.mu
	state   state
	burnt   bool           // the code had its wrong guess
	guest   shoal.DeviceID // claimed and admitted: by whom
	busy    bool           // claimed: the admitter is at work for that guest
	denied  bool           // shut because a person said no
	welcome []byte         // admitted: what the guest gets, again if it has to ask again
}

// Desk keeps the invites of this host. It decides, and carries nothing out. Safe for concurrent use.
type Desk struct {
	clock func() time.Time
	rand  io.Reader
	bell  chan struct{} // depth 1: see Changed

	mu      sync.Mutex // guards mesh, invites and their changing fields
	mesh    shoal.MeshID
	invites []*Invite
}

// NewDesk returns a desk without invites.
func NewDesk(clock func() time.Time, rand io.Reader) *Desk {
	return &Desk{clock: clock, rand: rand, bell: make(chan struct{}, 1)}
}

// Changed returns the bell that rings when Plates may have changed. It has one reader.
func (v *Desk) Changed() <-chan struct{} { return v.bell }

// SetMesh sets the mesh that invites lead to.
func (v *Desk) SetMesh(id shoal.MeshID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mesh = id
}

// Open tells whether strangers may knock: there is an invite, or one that ended less than an hour ago, whose guest should
// learn why it is of no use.
func (v *Desk) Open() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expire(v.clock())
	return len(v.invites) > 0
}

// Create makes an invite. taken says which nameplates others show. Errors: ErrTooMany, a bad role or time.
func (v *Desk) Create(role mesh.Role, ttl time.Duration, auto bool, taken func(uint32) bool) (*Invite, error) {
	if err := role.Validate(); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if ttl < time.Second || ttl > MaxTTL {
		return nil, fmt.Errorf("invite for %s: %w", ttl, ErrRange)
	}
	i := &Invite{Role: role, Auto: auto}
	if _, err := io.ReadFull(v.rand, i.Secret[:]); err != nil {
		return nil, fmt.Errorf("draw secret: %w", err)
	}
	copy(i.name[:], Name(i.Secret))
	words, err := newWords(v.rand)
	if err != nil {
		return nil, err
	}
	start, err := RandomNumber(v.rand)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	v.expire(now)
	if v.mesh == (shoal.MeshID{}) {
		return nil, fmt.Errorf("invite without mesh: call SetMesh first: %w", ErrRange)
	}
	if v.countOpen(now) >= maxInvites {
		return nil, ErrTooMany
	}
	i.Mesh = v.mesh
	i.Expires = now.Add(ttl).Truncate(time.Second)
	i.codeExpires = now.Add(min(ttl, codeTTL))
	i.Code = Code{Plate: v.freePlate(start, taken), Words: words}
	v.invites = append(v.invites, i)
	v.ring()
	return i, nil
}

// freePlate looks for a number that nobody near shows: one or two digits if possible. The caller holds mu.
func (v *Desk) freePlate(start uint64, taken func(uint32) bool) uint32 {
	for _, limit := range []uint64{99, MaxPlate} {
		for k := range limit {
			p := uint32(1 + (start+k)%limit)
			own := slices.ContainsFunc(v.invites, func(i *Invite) bool { return i.Code.Plate == p })
			if !own && !taken(p) {
				return p
			}
		}
	}
	return uint32(1 + start%MaxPlate)
}

func (v *Desk) countOpen(now time.Time) int {
	n := 0
	for _, i := range v.invites {
		if i.state == open && now.Before(i.Expires) {
			n++
		}
	}
	return n
}

// expire forgets invites that nobody will ask for any more; the caller holds mu.
func (v *Desk) expire(now time.Time) {
	v.invites = slices.DeleteFunc(v.invites, func(i *Invite) bool { return now.After(i.Expires.Add(inviteMemory)) })
	for len(v.invites) > 16*maxInvites { // cancelled ones of a long life
		v.invites = slices.Delete(v.invites, 0, 1)
	}
}

// ring tells that the plates may have changed.
func (v *Desk) ring() {
	select {
	case v.bell <- struct{}{}:
	default:
	}
}

// Plates returns the nameplates to show now, and when that will change by itself (zero: never).
func (v *Desk) Plates() (show map[uint32]bool, until time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	show = make(map[uint32]bool)
	for _, i := range v.invites {
		// Those that are used up or burnt stay to be found, so that whoever comes with one hears why it does not work.
		if !now.Before(i.codeExpires) {
			continue
		}
		show[i.Code.Plate] = true
		if until.IsZero() || i.codeExpires.Before(until) {
			until = i.codeExpires
		}
	}
	return show, until
}

// Find looks up the invite that a guest asks for. The reason is 0 if it may go on and prove the secret.
func (v *Desk) Find(b *wire.Begin, guest shoal.DeviceID) (*Invite, wire.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.clock()
	var found *Invite
	byCode := b.Nameplate != 0
	for _, i := range v.invites {
		// Of several old ones with one plate the latest counts.
		if byCode && i.Code.Plate == b.Nameplate || !byCode && string(i.name[:]) == string(b.Invite) {
			found = i
		}
	}
	if found == nil {
		return nil, wire.Reason_REASON_EXPIRED
	}
	return found, found.refusal(guest, byCode, now)
}

// refusal says why a guest may not use i, or 0. The caller holds Desk.mu.
func (i *Invite) refusal(guest shoal.DeviceID, byCode bool, now time.Time) wire.Reason {
	own := i.guest == guest
	switch {
	case i.state == shut && i.denied && own:
		return wire.Reason_REASON_DENIED
	case i.state == shut, (i.state == claimed || i.state == admitted) && !own, byCode && i.burnt:
		return wire.Reason_REASON_USED
	case (i.state == claimed || i.state == admitted) && own:
		return 0 // it was in time; its connection broke
	case !now.Before(i.Expires), byCode && !now.Before(i.codeExpires):
		return wire.Reason_REASON_EXPIRED
	}
	return 0
}

// Burn notes a wrong guess of the code.
func (v *Desk) Burn(i *Invite) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i.burnt = true
	v.ring()
}

// Claim gives i to a guest that has proved the secret. With a welcome there is nothing left to ask anybody; the
// reason says why not, or is 0. Exactly one session at a time holds a claim; it must settle it.
func (v *Desk) Claim(i *Invite, guest shoal.DeviceID, byCode bool) (welcome []byte, reason wire.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if reason := i.refusal(guest, byCode, v.clock()); reason != 0 {
		return nil, reason
	}
	if i.state == admitted {
		return i.welcome, 0
	}
	if i.busy {
		return nil, wire.Reason_REASON_BUSY
	}
	i.state, i.guest, i.busy = claimed, guest, true
	v.ring()
	return nil, 0
}

// Settle ends a claim with the admitter's answer.
func (v *Desk) Settle(i *Invite, welcome []byte, denied bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i.busy = false
	switch {
	case denied:
		i.state, i.denied = shut, true
	case welcome != nil:
		i.state, i.welcome = admitted, welcome
	default:
		i.state, i.guest = open, shoal.DeviceID{}
	}
	v.ring()
}

// Cancel shuts the invite with that secret, unless it has a guest already.
func (v *Desk) Cancel(secret Secret) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.invites {
		if i.Secret == secret && i.state == open {
			i.state = shut
		}
	}
	v.ring()
}

// Name is how the guest of a ticket names the invite before it has proved anything.
func Name(secret Secret) []byte {
	name := make([]byte, 16)
	blake3.DeriveKey(ctxInviteName, secret[:], name)
	return name
}
