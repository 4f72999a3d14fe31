package mesh

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// NewEpoch begins a new generation of a folder's keys (of the mesh's own, for the zero FolderID) for all devices that are in the
// mesh now and are no vaults; rand gives its secret. Owners, members and the root may, if they have the folder's keys.
// Errors: ErrNotAllowed, ErrUnknown, ErrNoKey, ErrFull.
func (r *Roster) NewEpoch(by Signer, f shoal.FolderID, now time.Time, rand io.Reader) (shoal.EpochID, error) {
	if !r.mayNow(by, needWriter) {
		return shoal.EpochID{}, fmt.Errorf("begin epoch of folder %s: %w", f, ErrNotAllowed)
	}
	if _, known := r.State().Folder(f); !known && f != meshScope {
		return shoal.EpochID{}, fmt.Errorf("begin epoch of folder %s: %w", f, ErrUnknown)
	}
	ring := r.ring(by, f)
	if f != meshScope && ring.life == nil {
		return shoal.EpochID{}, fmt.Errorf("begin epoch of folder %s: %w", f, ErrNoKey)
	}
	n, err := r.makeEpoch(by, f, ring.life, now, rand)
	if err != nil {
		return shoal.EpochID{}, fmt.Errorf("begin epoch of folder %s: %w", f, err)
	}
	return shoal.EpochID(n.hash), nil
}

// Tend makes what the mesh lacks and by can give, and returns how many statements that took:
//
//   - a new epoch, of the mesh or a folder, where there is none to write under (somebody was revoked, and whoever did it could
//     not make one);
//   - envelopes for devices that were admitted by somebody who did not have, or not yet know of, some epoch.
//
// To be called after the roster grew, by a device that may write; for others, and when nothing is lacking, it makes nothing.
// Several devices may tend at once: that costs statements, nothing else.
func (r *Roster) Tend(by Signer, now time.Time, rand io.Reader) (int, error) {
	if !r.mayNow(by, needWriter) {
		return 0, nil
	}
	before := len(r.nodes)
	if _, err := r.renewEpochs(by, now, rand); err != nil {
		return len(r.nodes) - before, fmt.Errorf("tend roster: %w", err)
	}
	var list []envelope
	for _, d := range r.recipients(r.viewsOf(r.draft(by, now)).members) {
		some, err := r.lackingKeys(by, d)
		if err != nil {
			return len(r.nodes) - before, fmt.Errorf("tend roster: %w", err)
		}
		list = append(list, some...)
	}
	err := r.send(by, list, now)
	return len(r.nodes) - before, err
}

// scopes returns the mesh itself and its folders.
func (r *Roster) scopes() []shoal.FolderID {
	out := []shoal.FolderID{meshScope}
	for _, f := range r.State().Folders() {
		out = append(out, f.ID)
	}
	return out
}

// renewEpochs makes an epoch of everything that lacks one to write under and that by has keys for.
func (r *Roster) renewEpochs(by Signer, now time.Time, rand io.Reader) (made int, err error) {
	for _, f := range r.scopes() {
		ring := r.ring(by, f)
		if f != meshScope && ring.life == nil || !r.lacksEpoch(by, ring, f) {
			continue
		}
		if _, err := r.makeEpoch(by, f, ring.life, now, rand); err != nil {
			return made, err
		}
		made++
	}
	return made, nil
}

// lacksEpoch tells whether by should make an epoch: it can open none to write under, and is not merely waiting for somebody to
// give it one that was made without knowing of it.
func (r *Roster) lacksEpoch(by Signer, ring *keyRing, f shoal.FolderID) bool {
	if r.currentEpoch(ring, f) != nil {
		return false
	}
	for _, n := range r.writableEpochs(f) {
		if !slices.Contains(n.payload.(newEpoch).recipients, by.Device()) {
			return false
		}
	}
	return true
}

// lackingKeys seals to a device (or the root) what by can open and nobody has sealed to it yet, so that with the chains it can open
// all that by can.
func (r *Roster) lackingKeys(by Signer, to shoal.DeviceID) ([]envelope, error) {
	given := map[shoal.EpochID]bool{}
	e := r.evaluation()
	for _, s := range r.sealed[to] {
		if e.judge(s.by) == counts {
			given[s.epoch] = true
		}
	}
	var list []envelope
	for _, f := range r.scopes() {
		ring := r.ring(by, f)
		for _, n := range ring.tops(r.exactEpochs(f)) {
			id := shoal.EpochID(n.hash)
			if given[id] {
				continue
			}
			sealed, err := r.sealRoot(n, ring.roots[id], to)
			if err != nil {
				return nil, err
			}
			list = append(list, sealed)
		}
	}
	return list, nil
}
