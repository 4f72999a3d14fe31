package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
	"github.com/shoalmesh/shoal/p2p/internal/redial"
)

// SetMembers names the devices to stay connected with, and addresses at which they were seen last (with or without
// /p2p/; what cannot be read is skipped). It replaces the former set: links with devices that the gate no longer
// admits end, what is known of devices that are no members any more is forgotten, and new members are dialed at once.
func (h *Host) SetMembers(members map[shoal.DeviceID][]string) {
	want := make(map[shoal.DeviceID]bool, len(members))
	for dev := range members {
		want[dev] = dev != h.self
	}
	delete(want, h.self)
	for _, l := range h.links.all() {
		if !h.cfg.Gate(l.dev) {
			h.Disconnect(l.dev)
		}
	}
	h.book.Forget(func(d shoal.DeviceID) bool { return want[d] || h.cfg.Gate(d) })
	for dev, addrs := range members {
		h.LearnAddrs(dev, addrs)
	}
	h.dials.change(func(p *redial.Plan, now time.Time) { p.SetMembers(now, want) })
	for _, l := range h.links.all() {
		// Of members that are new to this device others may not have heard yet; what they know they ignore.
		l.tell(h.tellable(l.dev)...)
	}
}

// LearnAddrs adds addresses at which dev may be found (with or without /p2p/). What cannot be read, or names another
// device, is skipped. A new address of a member that is not connected makes the host dial it at once.
func (h *Host) LearnAddrs(dev shoal.DeviceID, addrs []string) {
	var good []ma.Multiaddr
	for _, s := range addrs {
		a, err := address.Parse(s, dev)
		if err != nil {
			h.log.Debug("skip address", "device", dev.String(), "err", err)
			continue
		}
		good = append(good, a)
	}
	h.learn(dev, good)
}

func (h *Host) learn(dev shoal.DeviceID, addrs []ma.Multiaddr) {
	if h.book.Learn(dev, addrs) {
		h.dials.change(func(p *redial.Plan, now time.Time) { p.News(now, dev) })
	}
}

// KnownAddrs lists where dev may be found, best guess first, with /p2p/: what SetMembers wants to be given after a restart.
func (h *Host) KnownAddrs(dev shoal.DeviceID) []string {
	var out []string
	for _, a := range h.book.Addrs(dev) {
		out = append(out, address.Full(a, dev))
	}
	return out
}

// sawNear: a host was seen on the local network. Members are dialed at once.
func (h *Host) sawNear(n mdns.Notice) {
	if n.Service != mdns.Members || n.Device == h.self || !h.cfg.Gate(n.Device) {
		return
	}
	if l := h.links.of(n.Device); l != nil && !l.relayed() {
		return
	}
	h.book.Learn(n.Device, n.Addrs)
	if h.expelled(n.Device) {
		return
	}
	h.dials.change(func(p *redial.Plan, now time.Time) { p.News(now, n.Device) })
}

// expelled says whether the gate has closed for dev since it was last asked, and forgets then what was learned of dev in
// between. The gate closes before SetMembers ends links and forgets: who acts first and asks then leaves nothing behind.
func (h *Host) expelled(dev shoal.DeviceID) bool {
	if h.cfg.Gate(dev) {
		return false
	}
	h.book.Forget(func(d shoal.DeviceID) bool { return d != dev })
	return true
}

// tellable lists the address records to give to a device: this one's own and, if it may hear of others, those of all that may, too.
func (h *Host) tellable(to shoal.DeviceID) []*address.Record {
	var records []*address.Record
	if h.cfg.Tells(to) {
		records = h.book.Records(func(d shoal.DeviceID) bool { return h.cfg.Gate(d) && h.cfg.Tells(d) })
	}
	if own := h.ownRecord(); own != nil {
		records = append(records, own)
	}
	return records
}

// hear takes in an address record that came over l, and passes it on if it is new. That of a device which the gate
// does not admit is kept until the next SetMembers: its admission may be on its way.
func (h *Host) hear(l *link, r *address.Record) {
	if !l.isUp() {
		return // the last words of a device that was just expelled
	}
	if r.Device == h.self {
		// This device's own record comes back from a former life with a faster clock: outbid it.
		if own := h.ownRecord(); own != nil && r.TimeMS > own.TimeMS {
			if err := h.publish(r.TimeMS + 1); err != nil {
				h.log.Warn("publish own addresses", "err", err)
			}
		}
		return
	}
	news := h.book.Accept(r)
	if r.Device == l.dev && h.expelled(l.dev) {
		return
	}
	if news && h.cfg.Gate(r.Device) {
		h.dials.change(func(p *redial.Plan, now time.Time) { p.News(now, r.Device) })
		if h.cfg.Tells(r.Device) {
			h.pass(r, l)
		}
	}
}

// pass gives r to everybody who is up and may hear of others, but from.
func (h *Host) pass(r *address.Record, from *link) {
	for _, l := range h.links.all() {
		if l != from && h.cfg.Tells(l.dev) {
			l.tell(r)
		}
	}
}

func (h *Host) ownRecord() *address.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.own
}

// publish signs this device's addresses anew, not earlier than atLeast, and tells everybody.
func (h *Host) publish(atLeast int64) error {
	addrs := h.ownAddrs()
	h.mu.Lock()
	at := max(h.cfg.Clock().UnixMilli(), atLeast, 1)
	if h.own != nil {
		at = max(at, h.own.TimeMS+1)
	}
	r, err := address.Sign(h.cfg.Identity, at, addrs)
	if err == nil {
		h.own = r
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.here.Publish(r)
	h.pass(r, nil)
	return nil
}

// announce publishes the first record of this run.
func (h *Host) announce() error {
	if err := h.publish(0); err != nil {
		return fmt.Errorf("announce own addresses: %w", err)
	}
	return nil
}

// watchOwnAddrs publishes again whenever this machine's addresses change, and takes that as a reason to dial at once
// whoever could not be reached.
func (h *Host) watchOwnAddrs(ctx context.Context) {
	sub, err := h.net.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		h.log.Warn("watch own addresses", "err", err)
		return
	}
	defer sub.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-sub.Out():
			if !ok {
				return
			}
			if !h.readdress() {
				continue
			}
			h.probeLinks()
			h.mdns.Readdress()
			if h.meet != nil {
				h.meet.Anew()
			}
			h.dials.change(func(p *redial.Plan, now time.Time) { p.NewsOfAll(now) })
		}
	}
}

// readdress publishes this device's addresses if they have changed, and says whether they had.
func (h *Host) readdress() bool {
	if sameAddrs(h.ownRecord(), h.ownAddrs()) {
		return false
	}
	if err := h.publish(0); err != nil {
		h.log.Warn("publish own addresses", "err", err)
	}
	h.RendezvousChanged()
	return true
}

func sameAddrs(r *address.Record, addrs []ma.Multiaddr) bool {
	if r == nil || len(r.Addrs) != len(addrs) {
		return false
	}
	for i, a := range r.Addrs {
		if !a.Equal(addrs[i]) {
			return false
		}
	}
	return true
}
