package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
)

// Pairing brings new devices into the mesh.
type Pairing interface {
	// Invite makes a one-time code and ticket for one new device.
	Invite(ctx context.Context, spec InviteSpec) (Invite, error)
	// Requests lists the guests that proved the secret of an invitation and wait for a person to say yes, oldest first.
	Requests(ctx context.Context) ([]Request, error)
	// Approve admits a guest that asks, and returns when it is admitted. CodeRefused when this device is no owner.
	Approve(ctx context.Context, device shoal.DeviceID) error
	// Deny sends a guest away; its invitation is used up.
	Deny(ctx context.Context, device shoal.DeviceID) error
}

// Roles are the roles that a new device can be invited as, in the words of package mesh. The first one is the default.
var Roles = []string{"member", "owner", "reader", "vault"}

// How long an invitation may be good for.
const (
	DefaultExpiry = 10 * time.Minute
	MaxExpiry     = 7 * 24 * time.Hour
)

// InviteSpec says what kind of invitation.
type InviteSpec struct {
	Role    string        // one of Roles
	Expires time.Duration // 1 s to MaxExpiry
	Yes     bool          // the holder of the ticket is admitted without a question; never with role owner
}

// Validate refuses what no invitation is. An owner who would be admitted without a question is CodeRefused, all else
// CodeUsage.
func (s InviteSpec) Validate() error {
	switch {
	case !slices.Contains(Roles, s.Role):
		return Errorf(CodeUsage, "role %q: it is one of %s", s.Role, strings.Join(Roles, ", "))
	case s.Expires < time.Second || s.Expires > MaxExpiry:
		return Errorf(CodeUsage, "an invitation is good for 1s to %s", MaxExpiry)
	case s.Yes && s.Role == "owner":
		return Errorf(CodeRefused, "an owner is never admitted without a person's answer; leave --yes out")
	}
	return nil
}

// Invite is an invitation as shown to the person who passes it on. Code and ticket are secrets until used.
type Invite struct {
	Code    string    `json:"code"`
	Ticket  string    `json:"ticket"`
	Expires time.Time `json:"expires"`
}

// Request is a guest that asks to be admitted. Name is what the guest calls itself: show it with care.
type Request struct {
	Device  string    `json:"device"` // shoal.DeviceID as text
	Name    string    `json:"name"`
	Role    string    `json:"role"`    // the role of the invitation
	Via     string    `json:"via"`     // "ticket" or "code"
	Address string    `json:"address"` // where it connects from
	Since   time.Time `json:"since"`
}

// Started is what a daemon tells once, when it runs.
type Started struct {
	Device    string    `json:"device"` // shoal.DeviceID as text
	Name      string    `json:"name"`
	Folder    string    `json:"folder"` // name of the folder that `up` made or joined; empty when none
	Dir       Path      `json:"dir"`    // its absolute path
	API       string    `json:"api"`    // web address; empty when there is none
	Addresses []string  `json:"addresses"`
	Created   bool      `json:"created"` // this run made the mesh
	Joined    bool      `json:"joined"`  // this run joined one
	Code      string    `json:"code"`    // invitation of one more device; empty when this device may not invite
	Ticket    string    `json:"ticket"`
	Expires   time.Time `json:"expires"`
}

// inviteRequest is the body of POST /v1/invites.
type inviteRequest struct {
	Role    string   `json:"role"`
	Expires duration `json:"expires"`
	Yes     bool     `json:"yes"`
}

func (r *inviteRequest) Validate() error {
	if r.Role == "" {
		r.Role = Roles[0]
	}
	if r.Expires == 0 {
		r.Expires = duration(DefaultExpiry)
	}
	return r.spec().Validate()
}

func (r *inviteRequest) spec() InviteSpec {
	return InviteSpec{Role: r.Role, Expires: time.Duration(r.Expires), Yes: r.Yes}
}
