package mesh

import (
	"fmt"

	"github.com/shoalmesh/shoal"
)

// checkDoor refuses statements that can never count, judged by what they name alone: rights as they would be if nothing had
// ever been taken away. So all devices refuse the same statements, nobody outside the mesh can put anything into the roster,
// and what an insider can put is limited. Whether an accepted statement counts is decided by evaluation, again and again.
func (r *Roster) checkDoor(n *node) error {
	if n.kind == kindGenesis {
		if len(r.nodes) > 0 {
			return ErrOtherMesh
		}
		return nil
	}
	if n.back != nil && n.back.signer != n.signer {
		return refused("previous statement is another signer's")
	}
	if err := r.checkRoom(n); err != nil {
		return err
	}
	if !r.mightHave(n, needOf(n)) {
		return refused("signer never had the right")
	}
	return r.checkSubject(n)
}

func refused(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrRefused)...)
}

func (r *Roster) checkRoom(n *node) error {
	if n.signer == r.root {
		return nil
	}
	if len(r.nodes) >= MaxStatements || r.bytes+len(n.raw) > MaxRosterBytes {
		return ErrFull
	}
	share := r.signers[n.signer]
	if share != nil && (share.count >= maxPerSigner || share.bytes+len(n.raw) > maxBytesPerSigner) {
		return fmt.Errorf("signer's share: %w", ErrFull)
	}
	if n.member >= 0 && len(r.members) >= maxMembers {
		return fmt.Errorf("membership statements: %w", ErrFull)
	}
	if n.member >= 0 && share != nil && (len(share.members) >= maxMembersPerSigner || n.isTaker() && share.takers >= maxTakersPerSigner) {
		return fmt.Errorf("signer's share of membership statements: %w", ErrFull)
	}
	return nil
}

// need is the right that a statement takes.
type need uint8

const (
	needAdmission need = iota // any device of the mesh
	needWriter
	needOwner
)

func needOf(n *node) need {
	switch p := n.payload.(type) {
	case genesis, admit, giveRole, revoke, cutList:
		return needOwner
	case newFolder, newEpoch, envelopes:
		return needWriter
	case rename:
		switch {
		case p.device == n.signer:
			return needAdmission
		case p.device != (shoal.DeviceID{}):
			return needOwner
		}
		return needWriter
	}
	return needAdmission
}

func (x need) grantedBy(role Role) bool {
	switch x {
	case needOwner:
		return role == RoleOwner
	case needWriter:
		return role.Writes()
	}
	return true
}

// mightHave tells whether any statement that n's signer knew gave it the right.
func (r *Roster) mightHave(n *node, x need) bool {
	if n.signer == r.root {
		return true
	}
	for _, g := range r.about[n.signer] {
		if g.gives != 0 && n.saw(g) && x.grantedBy(g.gives) {
			return true
		}
	}
	return false
}

// checkSubject checks what a statement is about against what its signer knew.
func (r *Roster) checkSubject(n *node) error {
	switch p := n.payload.(type) {
	case admit:
		if p.device == r.root {
			return refused("the root is no device")
		}
	case giveRole:
		if r.admittedAsVault(n, p.device) {
			return refused("a vault stays a vault")
		}
		return r.checkTaking(n, p.taking)
	case revoke:
		return r.checkTaking(n, p.taking)
	case cutList:
		return r.checkKnown(n, p.device)
	case rename:
		return r.checkRename(n, p)
	case newEpoch:
		return r.checkEpoch(n, p)
	case envelopes:
		return r.checkEnvelopes(n, p)
	}
	return nil
}

func (r *Roster) checkKnown(n *node, d shoal.DeviceID) error {
	for _, a := range r.about[d] {
		if a.kind == kindAdmit && n.saw(a) {
			return nil
		}
	}
	return refused("about a device that was never admitted")
}

func (r *Roster) admittedAsVault(n *node, d shoal.DeviceID) bool {
	for _, a := range r.about[d] {
		if a.gives == RoleVault && n.saw(a) {
			return true
		}
	}
	return false
}

// checkTaking: nobody takes rights from itself (the statement would take away its own ground), the statements that count are
// the device's, and the cut lists are the signer's own.
func (r *Roster) checkTaking(n *node, t taking) error {
	if t.device == n.signer {
		return refused("about its own signer")
	}
	if err := r.checkKnown(n, t.device); err != nil {
		return err
	}
	for _, h := range t.last {
		if last := r.byHash[h]; last == nil || last.signer != t.device {
			return refused("last statement is not the device's")
		}
	}
	for _, h := range t.cutLists {
		list := r.byHash[h]
		if list == nil || list.signer != n.signer {
			return refused("cut list is not the signer's")
		}
		if c, ok := list.payload.(cutList); !ok || c.device != t.device {
			return refused("cut list is about something else")
		}
	}
	return nil
}

func (r *Roster) checkRename(n *node, p rename) error {
	if p.device != (shoal.DeviceID{}) {
		return r.checkKnown(n, p.device)
	}
	if !r.knowsFolder(n.before, p.folder) {
		return refused("about an unknown folder")
	}
	return nil
}

func (r *Roster) checkEpoch(n *node, p newEpoch) error {
	if p.folder != meshScope && !r.knowsFolder(n.before, p.folder) {
		return refused("about an unknown folder")
	}
	if want := r.nextNumber(n.before, p.folder); p.number != want {
		return refused("epoch number %d, want %d", p.number, want)
	}
	return nil
}

// nextNumber returns the number of an epoch whose maker knows before.
func (r *Roster) nextNumber(before views, f shoal.FolderID) uint64 {
	var highest uint64
	for _, e := range r.epochs[f] {
		if before.folders.has(e.folder) {
			highest = max(highest, e.payload.(newEpoch).number)
		}
	}
	return highest + 1
}

// knowsFolder tells whether a folder was made before.
func (r *Roster) knowsFolder(before views, f shoal.FolderID) bool {
	n := r.made[f]
	return n != nil && before.folders.has(n.folder)
}

func (r *Roster) checkEnvelopes(n *node, p envelopes) error {
	for _, e := range p.list {
		epoch := r.byHash[Hash(e.epoch)]
		if epoch == nil || epoch.kind != kindEpoch || !n.before.folders.has(epoch.folder) {
			return refused("envelope for an unknown epoch")
		}
		if e.recipient == r.root {
			continue
		}
		if err := r.checkKnown(n, e.recipient); err != nil {
			return err
		}
	}
	return nil
}

// folderIDOf returns the ID of the folder that a folder statement makes. It depends on the statement, so nobody can make a
// second folder with the ID of a first.
func folderIDOf(h Hash) (f shoal.FolderID) {
	copy(f[:], h[:])
	return f
}
