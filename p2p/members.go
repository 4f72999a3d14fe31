package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
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
	h.book.forget(func(d shoal.DeviceID) bool { return want[d] || h.cfg.Gate(d) })
	h.dials.change(func(p *dialPlan, now time.Time) {
		p.setMembers(now, want, func(d shoal.DeviceID) bool { return h.links.of(d) != nil })
	})
	for dev, addrs := range members {
		h.LearnAddrs(dev, addrs)
	}
	for _, l := range h.links.all() {
		if !h.cfg.Gate(l.dev) {
			h.Disconnect(l.dev)
		}
	}
}

// LearnAddrs adds addresses at which dev may be found (with or without /p2p/). What cannot be read, or names another
// device, is skipped. A new address of a member that is not connected makes the host dial it at once.
func (h *Host) LearnAddrs(dev shoal.DeviceID, addrs []string) {
	var good []ma.Multiaddr
	for _, s := range addrs {
		a, err := parseAddr(s, dev)
		if err != nil {
			h.log.Debug("skip address", "device", dev.String(), "err", err)
			continue
		}
		good = append(good, a)
	}
	h.learn(dev, good)
}

func (h *Host) learn(dev shoal.DeviceID, addrs []ma.Multiaddr) {
	if h.book.learn(dev, addrs) {
		h.dials.change(func(p *dialPlan, now time.Time) { p.news(now, dev) })
	}
}

// KnownAddrs lists where dev may be found, best guess first, with /p2p/: what SetMembers wants to be given after a restart.
func (h *Host) KnownAddrs(dev shoal.DeviceID) []string {
	var out []string
	for _, a := range h.book.addrs(dev) {
		out = append(out, fullAddr(a, dev))
	}
	return out
}

// tellable lists the address records to give to a member: this device's own and those of all that the gate admits.
func (h *Host) tellable() []*addressRecord {
	records := h.book.records(h.cfg.Gate)
	if own := h.ownRecord(); own != nil {
		records = append(records, own)
	}
	return records
}

// hear takes in an address record that came over l, and passes it on if it is new.
func (h *Host) hear(l *link, r *addressRecord) {
	if r.device == h.self {
		// This device's own record comes back from a former life with a faster clock: outbid it.
		if own := h.ownRecord(); own != nil && r.timeMS > own.timeMS {
			if err := h.publish(r.timeMS + 1); err != nil {
				h.log.Warn("publish own addresses", "err", err)
			}
		}
		return
	}
	if !h.cfg.Gate(r.device) {
		return
	}
	if !h.book.accept(r) {
		if known := h.book.record(r.device); known != nil && known.timeMS > r.timeMS {
			l.tell(known)
		}
		return
	}
	h.dials.change(func(p *dialPlan, now time.Time) { p.news(now, r.device) })
	h.pass(r, l)
}

// pass gives r to everybody who is up but from.
func (h *Host) pass(r *addressRecord, from *link) {
	for _, l := range h.links.all() {
		if l != from {
			l.tell(r)
		}
	}
}

func (h *Host) ownRecord() *addressRecord {
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
		at = max(at, h.own.timeMS+1)
	}
	r, err := signRecord(h.cfg.Identity, at, addrs)
	if err == nil {
		h.own = r
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.here.publish(r)
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
			if sameAddrs(h.ownRecord(), h.ownAddrs()) {
				continue
			}
			if err := h.publish(0); err != nil {
				h.log.Warn("publish own addresses", "err", err)
			}
			h.mdns.readdress()
			h.dials.change(func(p *dialPlan, now time.Time) { p.newsOfAll(now) })
		}
	}
}

func sameAddrs(r *addressRecord, addrs []ma.Multiaddr) bool {
	if r == nil || len(r.addrs) != len(addrs) {
		return false
	}
	for i, a := range r.addrs {
		if !a.Equal(addrs[i]) {
			return false
		}
	}
	return true
}
