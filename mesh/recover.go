package mesh

import (
	"fmt"
	"io"
	"time"

	"github.com/shoalmesh/shoal"
)

// Recover lets a device in as owner by the word of the root, and seals to it all that the root can open: how a mesh begins again on a
// new device when the words of its phrase are all that is left. First it begins epochs where there is none to write under. A device
// that is in the mesh already is not admitted again, so a recovery that was broken off can be repeated.
//
// It revokes nobody: what the others wrote counts up to what is known of it, and a new device knows nothing yet. It returns the folders of
// which the root can open no key, in order of creation: their makers broke the format, and only a device that has keys can help.
//
// Errors: ErrOtherRoot; ErrExists when the device was revoked; ErrFull; shoal.ErrInvalid for a bad name or key.
func (r *Roster) Recover(root *Root, dev shoal.DeviceID, hpkePublic []byte, name string, now time.Time, rand io.Reader) (closed []shoal.FolderID, err error) {
	if r.root != root.Device() {
		return nil, fmt.Errorf("recover mesh %s: %w", r.mesh, ErrOtherRoot)
	}
	if _, err := r.renewEpochs(root, now, rand); err != nil {
		return nil, fmt.Errorf("recover mesh %s: %w", r.mesh, err)
	}
	if !r.State().Admitted(dev) {
		if err := r.Admit(root, dev, hpkePublic, name, RoleOwner, now); err != nil {
			return nil, fmt.Errorf("recover mesh %s: %w", r.mesh, err)
		}
	}
	if _, err := r.Tend(root, now, rand); err != nil {
		return nil, fmt.Errorf("recover mesh %s: %w", r.mesh, err)
	}
	for _, f := range r.State().Folders() {
		if r.ring(root, f.ID).life == nil {
			closed = append(closed, f.ID)
		}
	}
	return closed, nil
}
