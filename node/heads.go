package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
)

// A device that runs and changes nothing signs its heads again each day. So a head that grows old says that its device is off, reaches nobody, or that somebody
// between keeps back what it says; who shows devices shows that.
const (
	headAge   = 24 * time.Hour
	headLook  = time.Hour           // how often is looked; by the wall clock, which goes on while a laptop sleeps
	longQuiet = 30 * 24 * time.Hour // what doctor warns of
)

// keepHeadsFresh signs the heads of this device's journals again when they are a day old, until ctx ends.
func (n *Node) keepHeadsFresh(ctx context.Context) error {
	look := time.NewTicker(headLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		for _, f := range n.runsNow() {
			signed, err := freshenHead(ctx, f.index, n.self(), time.Now())
			if ctx.Err() != nil {
				return nil
			}
			if signed || err != nil {
				n.duties.ended(dutyKey{dutyHeads, f.id}, err)
			}
			if signed {
				n.exchange.Notify(f.id)
			}
		}
	}
}

// freshenHead signs the head of the own open journal again if it is older than headAge. A device that has written nothing, or may not yet go on with what it
// wrote, has nothing to sign.
func freshenHead(ctx context.Context, f *index.Folder, self shoal.DeviceID, now time.Time) (signed bool, err error) {
	heads := map[shoal.DeviceID]time.Time{}
	if err := f.View(func(tx *index.Tx) error { lastHeads(tx, heads); return nil }); err != nil {
		return false, err
	}
	if last := heads[self]; last.IsZero() || now.Sub(last) < headAge {
		return false, nil
	}
	err = f.Update(ctx, func(tx *index.Tx) error { return tx.Resign() })
	if errors.Is(err, index.ErrNoJournal) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sign the head again: %w", err)
	}
	return true, nil
}

// lastHeads notes when each device signed the newest of its heads that are here, by its own clock, if it is later than what is noted already.
func lastHeads(tx *index.Tx, last map[shoal.DeviceID]time.Time) {
	for j, pos := range tx.Frontier() {
		if at := time.Unix(0, pos.Time); pos.Seq > 0 && at.After(last[j.Device]) {
			last[j.Device] = at
		}
	}
}

// heard tells when each device signed what it wrote last, as far as that came here. A clock that is ahead does not make it younger than now.
func (n *Node) heard(now time.Time) map[shoal.DeviceID]time.Time {
	last := map[shoal.DeviceID]time.Time{}
	for _, f := range n.runsNow() {
		_ = f.index.View(func(tx *index.Tx) error { lastHeads(tx, last); return nil }) // what can't be read shows elsewhere
	}
	for d, at := range last {
		if at.After(now) {
			last[d] = now
		}
	}
	return last
}

// checkQuiet warns of devices of which nothing new was heard for long.
func (n *Node) checkQuiet(now time.Time) (out []control.Check) {
	connected, heard := n.connected(), n.heard(now)
	for _, d := range n.others() {
		if at := heard[d.ID]; !connected[d.ID] && quietTooLong(at, now) {
			out = append(out, control.Check{
				Name: "device " + d.Name, State: control.CheckWarn,
				Message: fmt.Sprintf("It signed last %s, and signs daily while it runs: it is off, it reaches nobody, or what it says is kept back from this device.", ago(at)),
				Fix:     "Start it where it reaches this device or another one. If it is gone: shoal devices revoke " + d.Name,
			})
		}
	}
	return out
}

// quietTooLong tells whether a device signed something once, and not for long.
func quietTooLong(last, now time.Time) bool { return !last.IsZero() && now.Sub(last) >= longQuiet }
