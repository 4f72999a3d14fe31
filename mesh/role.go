package mesh

import (
	"fmt"

	"github.com/shoalmesh/shoal"
)

// Role is what a device may do in a mesh. Numbers are part of the roster format. The zero value is invalid.
type Role uint8

// The roles, from the most to the least rights.
const (
	RoleOwner  Role = 1 // all that a member may; admits, revokes, gives roles
	RoleMember Role = 2 // reads and writes; makes folders and epochs
	RoleReader Role = 3 // reads; what it writes counts for nothing
	RoleVault  Role = 4 // keeps ciphertext; has no keys
)

var roleNames = map[Role]string{RoleOwner: "owner", RoleMember: "member", RoleReader: "reader", RoleVault: "vault"}

// String returns the lower-case name of the role.
func (r Role) String() string {
	if s, ok := roleNames[r]; ok {
		return s
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole is the inverse of String.
func ParseRole(s string) (Role, error) {
	for r, name := range roleNames {
		if s == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("role %q: %w", s, shoal.ErrInvalid)
}

// Validate refuses numbers that are no role.
func (r Role) Validate() error {
	if r < RoleOwner || r > RoleVault {
		return fmt.Errorf("role %d: %w", uint8(r), shoal.ErrInvalid)
	}
	return nil
}

// Writes tells whether records of a device with this role count.
func (r Role) Writes() bool { return r == RoleOwner || r == RoleMember }

// Reads tells whether a device with this role gets keys.
func (r Role) Reads() bool { return r.Writes() || r == RoleReader }
