package mesh

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// The operations make statements. Each checks first whether it may, and then may make several statements, which belong
// together: a caller stores and passes on all of them (Since the heads before). When one fails half-way, what was made stays,
// is consistent, and Tend makes the rest.

// Admit lets a device into the mesh and seals to it the keys that by can open, so that it can read everything (a vault gets
// none). Only owners and the root may. name is shown to people, and made unique where it is not.
//
// Errors: ErrNotAllowed; ErrExists (also for a device that was revoked: that is for ever); ErrNoKey when by cannot seal the name
// now (call Tend first); ErrFull; shoal.ErrInvalid for a bad name, role or key.
func (r *Roster) Admit(by Signer, dev shoal.DeviceID, hpkePublic []byte, name string, role Role, now time.Time) error {
	if !r.mayNow(by, needOwner) {
		return fmt.Errorf("admit %s: %w", dev, ErrNotAllowed)
	}
	if err := r.checkNewDevice(dev, hpkePublic, role); err != nil {
		return fmt.Errorf("admit %s: %w", dev, err)
	}
	sealed, err := r.sealNameNow(by, dev[:], name)
	if err != nil {
		return fmt.Errorf("admit %s: %w", dev, err)
	}
	if _, err := r.say(by, admit{device: dev, hpke: slices.Clone(hpkePublic), role: role, name: sealed}, now); err != nil {
		return err
	}
	if !role.Reads() {
		return nil
	}
	list, err := r.lackingKeys(by, dev)
	if err != nil {
		return err
	}
	return r.send(by, list, now)
}

func (r *Roster) checkNewDevice(dev shoal.DeviceID, hpkePublic []byte, role Role) error {
	if err := cmp.Or(dev.Validate(), role.Validate()); err != nil {
		return err
	}
	if _, err := parseHPKE(hpkePublic); err != nil {
		return err
	}
	if _, known := r.State().Device(dev); known || dev == r.root {
		return ErrExists
	}
	if role.Reads() && len(r.evaluation().readers()) >= maxRecipients-1 {
		return fmt.Errorf("%d devices: %w", maxRecipients-1, ErrFull)
	}
	return nil
}

// Revoke shuts a device out for ever. cuts says how much of its journals counts: each journal up to its cut, and nothing of
// those that are not named. Of its statements count those that are here now. Then a new epoch of the mesh and of every folder
// that by has keys for begins, from rand. Only owners and the root may, and no device may revoke itself.
//
// Revoking again is possible and can only lower cuts. Errors: ErrNotAllowed, ErrUnknown; shoal.ErrInvalid for a journal of
// another device.
func (r *Roster) Revoke(by Signer, dev shoal.DeviceID, cuts map[shoal.JournalID]Cut, now time.Time, rand io.Reader) error {
	t, err := r.takeFrom(by, dev, cuts, now)
	if err != nil {
		return fmt.Errorf("revoke %s: %w", dev, err)
	}
	if _, err := r.say(by, revoke{t}, now); err != nil {
		return err
	}
	_, err = r.renewEpochs(by, now, rand)
	return err
}

// SetRole gives a device another role. When it takes away the right to write, cuts says how much of the device's journals counts,
// as for Revoke; giving the right back lifts these cuts. Only owners and the root may, no device for itself, and nothing becomes
// or stops being a vault. Errors as for Revoke.
func (r *Roster) SetRole(by Signer, dev shoal.DeviceID, role Role, cuts map[shoal.JournalID]Cut, now time.Time) error {
	if role.Writes() {
		cuts = nil
	}
	d, known := r.State().Device(dev)
	if err := role.Validate(); err != nil {
		return fmt.Errorf("change role of %s: %w", dev, err)
	}
	if known && (d.Revoked || d.Role == RoleVault) || role == RoleVault {
		return fmt.Errorf("change role of %s: %w", dev, ErrNotAllowed)
	}
	t, err := r.takeFrom(by, dev, cuts, now)
	if err != nil {
		return fmt.Errorf("change role of %s: %w", dev, err)
	}
	_, err = r.say(by, giveRole{taking: t, role: role}, now)
	return err
}

// takeFrom checks that by may take rights from dev and publishes the cut lists.
func (r *Roster) takeFrom(by Signer, dev shoal.DeviceID, cuts map[shoal.JournalID]Cut, now time.Time) (taking, error) {
	t := taking{device: dev}
	if !r.mayNow(by, needOwner) || by.Device() == dev {
		return t, ErrNotAllowed
	}
	if _, known := r.State().Device(dev); !known {
		return t, ErrUnknown
	}
	lists, err := cutLists(dev, cuts)
	if err != nil {
		return t, err
	}
	for _, list := range lists {
		n, err := r.say(by, list, now)
		if err != nil {
			return t, err
		}
		t.cutLists = append(t.cutLists, n.hash)
	}
	t.cutLists = sortedSet(t.cutLists)
	if share := r.signers[dev]; share != nil {
		tips := slices.SortedFunc(slices.Values(share.tips), compareNodes)
		for _, n := range tips[max(0, len(tips)-maxLast):] {
			t.last = append(t.last, n.hash)
		}
		t.last = sortedSet(t.last)
	}
	return t, nil
}

// cutLists splits cuts into as many lists as they take. A cut at 0 is the same as none.
func cutLists(dev shoal.DeviceID, cuts map[shoal.JournalID]Cut) ([]cutList, error) {
	var all []journalCut
	for j, c := range cuts {
		if j.Device != dev {
			return nil, fmt.Errorf("cut of journal %s: %w", j, shoal.ErrInvalid)
		}
		if c.Seq > 0 {
			all = append(all, journalCut{nonce: j.Nonce, Cut: c})
		}
	}
	if len(all) > maxCuts*maxCutLists {
		return nil, fmt.Errorf("%d journals: %w", len(all), ErrFull)
	}
	slices.SortFunc(all, func(a, b journalCut) int { return cmp.Compare(a.nonce, b.nonce) })
	var lists []cutList
	for some := range slices.Chunk(all, maxCuts) {
		lists = append(lists, cutList{device: dev, cuts: some})
	}
	return lists, nil
}

// AddFolder makes a folder and its first epoch; rand gives its secrets. Owners, members and the root may.
// Errors: ErrNotAllowed; ErrNoKey as for Admit; shoal.ErrInvalid for a bad name.
func (r *Roster) AddFolder(by Signer, name string, now time.Time, rand io.Reader) (shoal.FolderID, error) {
	if !r.mayNow(by, needWriter) {
		return shoal.FolderID{}, fmt.Errorf("add folder: %w", ErrNotAllowed)
	}
	var life lifeSecret
	if _, err := io.ReadFull(rand, life[:]); err != nil {
		return shoal.FolderID{}, fmt.Errorf("read randomness for folder: %w", err)
	}
	commitment := life.commitment(r.mesh)
	sealed, err := r.sealNameNow(by, commitment[:], name)
	if err != nil {
		return shoal.FolderID{}, fmt.Errorf("add folder: %w", err)
	}
	n, err := r.say(by, newFolder{lifeCommitment: commitment, name: sealed}, now)
	if err != nil {
		return shoal.FolderID{}, err
	}
	f := folderIDOf(n.hash)
	_, err = r.makeEpoch(by, f, &life, now, rand)
	return f, err
}

// RenameDevice gives a device another name; AdmittedAs stays. Owners, the root and the device itself may.
// Errors: ErrNotAllowed, ErrUnknown, ErrNoKey as for Admit; shoal.ErrInvalid for a bad name.
func (r *Roster) RenameDevice(by Signer, dev shoal.DeviceID, name string, now time.Time) error {
	x := needOwner
	if by.Device() == dev {
		x = needAdmission
	}
	if !r.mayNow(by, x) {
		return fmt.Errorf("rename %s: %w", dev, ErrNotAllowed)
	}
	if _, known := r.State().Device(dev); !known {
		return fmt.Errorf("rename %s: %w", dev, ErrUnknown)
	}
	sealed, err := r.sealNameNow(by, dev[:], name)
	if err != nil {
		return fmt.Errorf("rename %s: %w", dev, err)
	}
	_, err = r.say(by, rename{device: dev, name: sealed}, now)
	return err
}

// RenameFolder gives a folder another name. Owners, members and the root may. Errors as for RenameDevice.
func (r *Roster) RenameFolder(by Signer, f shoal.FolderID, name string, now time.Time) error {
	if !r.mayNow(by, needWriter) {
		return fmt.Errorf("rename folder %s: %w", f, ErrNotAllowed)
	}
	if _, known := r.State().Folder(f); !known {
		return fmt.Errorf("rename folder %s: %w", f, ErrUnknown)
	}
	sealed, err := r.sealNameNow(by, f[:], name)
	if err != nil {
		return fmt.Errorf("rename folder %s: %w", f, err)
	}
	_, err = r.say(by, rename{folder: f, name: sealed}, now)
	return err
}
