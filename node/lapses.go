package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

const (
	lapseGrace = 10 * time.Second    // what is less for shorter is a statement that was overtaken by another on its way
	lapseKept  = 30 * 24 * time.Hour // how long doctor tells of a lapse that is over
)

type lapseKey struct {
	vault  shoal.DeviceID
	folder shoal.FolderID // zero: it is the roster
}

// lapse is a vault that shows less of a folder than it acknowledged.
type lapse struct {
	since   time.Time // seen first
	told    bool      // it lasted longer than the grace
	message string
}

// lookForLapse holds what a vault shows of a folder against what it acknowledged. It tells whether there is one that is too young to be told.
func (n *Node) lookForLapse(ctx context.Context, f *folderRun, vault mesh.Device) (young bool, err error) {
	session, _ := n.exchange.Shown(vault.ID, f.id)
	var list []index.Lapse
	var ack index.Acknowledged
	err = f.index.View(func(tx *index.Tx) error {
		if list, err = tx.Lapses(vault.ID, session); err == nil && len(list) > 0 {
			ack, _, err = tx.Acknowledged(vault.ID)
		}
		return err
	})
	if err != nil {
		return false, ignoreNoKey(err)
	}
	key := lapseKey{vault.ID, f.id}
	tell, over, young := n.vaults.lapsed(key, n.describeLapse(vault, f, list, ack), len(list) > 0, time.Now())
	switch {
	case tell:
		if err := f.index.Update(ctx, func(tx *index.Tx) error { return tx.KeepLapse(vault.ID) }); err != nil {
			return young, err
		}
		n.event(control.Event{Kind: control.EventProblem, Folder: f.name(), Device: vault.Name, Message: n.vaults.messageOf(key)})
		n.changed.ring()
	case over:
		n.event(control.Event{Kind: control.EventSolved, Folder: f.name(), Device: vault.Name, Message: "shows again all that it had acknowledged."})
		n.changed.ring()
	}
	return young, nil
}

// lookForOldRoster holds the roster that a vault shows against the one here, which it was told of in the same session: an honest one asks for what it lacks
// at once. It tells whether there is a difference that is too young to be told.
func (n *Node) lookForOldRoster(vault mesh.Device) (young bool) {
	key := lapseKey{vault: vault.ID}
	heads, told := n.exchange.RosterOf(vault.ID)
	if !told {
		n.vaults.dropYoung(key)
		return false
	}
	lacks := len(n.roster.Since(heads))
	message := fmt.Sprintf("The vault %s shows an old roster: it lacks %d statements that this device has told it of. Who was admitted or revoked by them it may hide from others.", vault.Name, lacks)
	tell, over, young := n.vaults.lapsed(key, message, lacks > 0, time.Now())
	switch {
	case tell:
		n.event(control.Event{Kind: control.EventProblem, Device: vault.Name, Message: message})
		n.changed.ring()
	case over:
		n.event(control.Event{Kind: control.EventSolved, Device: vault.Name, Message: "shows the present roster again."})
		n.changed.ring()
	}
	return young
}

// lapsed notes whether there is a lapse now: tell says that it has lasted long enough to be told of, over that one that was told of is over, young
// that one has not lasted long enough.
func (v *vaultWatch) lapsed(key lapseKey, message string, now bool, at time.Time) (tell, over, young bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.lapses[key]
	switch {
	case !now && l == nil:
	case !now:
		delete(v.lapses, key)
		over = l.told
	case l == nil:
		v.lapses[key] = &lapse{since: at, message: message}
		young = true
	default:
		l.message = message
		tell = !l.told && at.Sub(l.since) >= lapseGrace
		l.told = l.told || tell
		young = !l.told
	}
	return tell, over, young
}

// dropYoung forgets a lapse that was not told of yet: what was seen in one session says nothing of the next.
func (v *vaultWatch) dropYoung(key lapseKey) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.lapses[key]; l != nil && !l.told {
		delete(v.lapses, key)
	}
}

// forget drops what vaults that are not in the mesh any more lack.
func (v *vaultWatch) forget(vaults []mesh.Device) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for key := range v.lapses {
		if !slices.ContainsFunc(vaults, func(d mesh.Device) bool { return d.ID == key.vault }) {
			delete(v.lapses, key)
		}
	}
}

func (v *vaultWatch) messageOf(key lapseKey) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if l := v.lapses[key]; l != nil {
		return l.message
	}
	return ""
}

// describeLapse says what a vault lacks of what it acknowledged: of the device with most of it, and of how many others.
func (n *Node) describeLapse(vault mesh.Device, f *folderRun, list []index.Lapse, ack index.Acknowledged) string {
	lacks := map[shoal.DeviceID]shoal.Seq{}
	var most shoal.DeviceID
	for _, l := range list {
		dev := l.Journal.Device
		if lacks[dev] += l.Acknowledged - l.Shown; lacks[dev] > lacks[most] {
			most = dev
		}
	}
	whose := n.deviceName(most)
	if most == n.self() {
		whose = "this device"
	}
	if len(lacks) > 1 {
		whose += fmt.Sprintf(" (and some of %d others)", len(lacks)-1)
	}
	return fmt.Sprintf("The vault %s shows an old state of %s: it lacks up to %d records of %s that it had acknowledged at %s. It was restored from a backup or reset, or it withholds them.",
		vault.Name, f.name(), lacks[most], whose, time.Unix(0, ack.At).UTC().Format(time.RFC3339))
}
