package p2p

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// reserveWait bounds asking a relay for a place.
	reserveWait = 10 * time.Second
	// leastRenewal is the least time between two reservations at one relay, whatever that says.
	leastRenewal = time.Minute
	// circuitsPerRelay bounds the addresses through one relay, maxCircuits those of all.
	circuitsPerRelay = 3
	maxCircuits      = 8
)

// reservePauses is how long to wait after a relay has refused; the last one repeats. A relay that has not heard of this
// device yet will soon.
var reservePauses = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// reservations are the places that this device holds at relays of its mesh. A place ends with the link with the relay.
// Safe for concurrent use.
type reservations struct {
	bell chan struct{} // depth 1; full means the loop is awake already

	mu     sync.Mutex // guards all below
	relays []shoal.DeviceID
	places map[shoal.DeviceID]*place
}

// place is where this device stands with one relay. It lives as long as the link.
type place struct {
	link     *link
	asking   bool
	failures int            // in a row
	next     time.Time      // when to ask, or to ask again
	addrs    []ma.Multiaddr // where others find this device through the relay; nil: no place
}

func newReservations() *reservations {
	return &reservations{bell: make(chan struct{}, 1), places: make(map[shoal.DeviceID]*place)}
}

func (r *reservations) ring() {
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// addrs lists the circuits through all relays, by relay.
func (r *reservations) addrs() []ma.Multiaddr {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ma.Multiaddr
	for _, dev := range r.relays {
		if p := r.places[dev]; p != nil {
			out = append(out, p.addrs...)
		}
	}
	return address.Unique(out, maxCircuits)
}

// links lists the links with relays.
func (r *reservations) links() []*link {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*link
	for _, p := range r.places {
		out = append(out, p.link)
	}
	return out
}

// SetRelays names the members through which others may reach this device when they cannot directly: those that run with
// Config.Relay. It replaces the former set. This device asks each for a place as soon as it is connected.
func (h *Host) SetRelays(relays []shoal.DeviceID) {
	r := h.places
	r.mu.Lock()
	r.relays = slices.DeleteFunc(slices.Clone(relays), func(d shoal.DeviceID) bool { return d == h.self })
	slices.SortFunc(r.relays, shoal.DeviceID.Compare)
	r.relays = slices.Compact(r.relays)
	r.mu.Unlock()
	r.ring()
}

// take brings the places in line with the links, and returns those to ask for now; changed: addresses were lost; wait:
// how long until there is something to do if nothing happens.
func (r *reservations) take(now time.Time, linkOf func(shoal.DeviceID) *link) (due []*place, changed bool, wait time.Duration) {
	links := make(map[shoal.DeviceID]*link)
	r.mu.Lock()
	relays := slices.Clone(r.relays)
	r.mu.Unlock()
	for _, dev := range relays {
		if l := linkOf(dev); l != nil && !address.IsRelayed(l.conn.RemoteMultiaddr()) {
			links[dev] = l
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for dev, p := range r.places {
		if links[dev] != p.link {
			changed = changed || p.addrs != nil
			delete(r.places, dev)
		}
	}
	wait = time.Hour
	for dev, l := range links {
		p := r.places[dev]
		if p == nil {
			p = &place{link: l, next: now}
			r.places[dev] = p
		}
		switch {
		case p.asking:
		case p.next.After(now):
			wait = min(wait, p.next.Sub(now))
		default:
			p.asking = true
			due = append(due, p)
		}
	}
	return due, changed, wait
}

// done notes the relay's answer; addrs is nil if it gave no place.
func (r *reservations) done(now time.Time, p *place, addrs []ma.Multiaddr, holds time.Duration) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.asking = false
	if addrs == nil {
		pause := reservePauses[min(p.failures, len(reservePauses)-1)]
		p.failures++
		p.next = now.Add(pause + time.Duration(rand.Float64()*float64(pause)/4))
	} else {
		p.failures, p.next = 0, now.Add(max(holds/2, leastRenewal))
	}
	changed = !slices.EqualFunc(p.addrs, addrs, func(a, b ma.Multiaddr) bool { return a.Equal(b) })
	p.addrs = addrs
	return changed && r.places[p.link.dev] == p
}

// runReservations keeps places at all relays that are connected until ctx ends.
func (h *Host) runReservations(ctx context.Context) {
	var asks sync.WaitGroup
	defer asks.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-h.places.bell:
		}
		due, changed, wait := h.places.take(time.Now(), h.links.of)
		if changed {
			h.readdress()
		}
		for _, p := range due {
			asks.Go(func() {
				addrs, holds := h.reserve(ctx, p.link)
				if h.places.done(time.Now(), p, addrs, holds) {
					h.readdress()
				}
				h.places.ring()
			})
		}
		timer.Reset(wait)
	}
}

// reserve asks the relay at the other end of l for a place, and returns where others find this device through it, and
// for how long. Nil: it gives none.
func (h *Host) reserve(ctx context.Context, l *link) (addrs []ma.Multiaddr, holds time.Duration) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "places are asked for over links"), reserveWait)
	defer cancel()
	got, err := client.Reserve(ctx, h.net, peer.AddrInfo{ID: address.PeerID(l.dev)})
	if err != nil {
		h.log.Debug("no place at relay", "device", l.dev.String(), "err", err)
		return nil, 0
	}
	told := make([]ma.Multiaddr, 0, len(got.Addrs)+1)
	if l.conn.Stat().Direction == network.DirOutbound {
		told = append(told, l.conn.RemoteMultiaddr())
	}
	slices.SortStableFunc(got.Addrs, func(a, b ma.Multiaddr) int { return address.Order(a) - address.Order(b) })
	for _, a := range got.Addrs {
		if bare, id := peer.SplitAddr(a); id == address.PeerID(l.dev) {
			told = append(told, bare)
		}
	}
	for _, a := range told {
		// A circuit of a circuit, a name, or a port of nobody helps no one.
		if address.IsRelayed(a) || address.IsLinkLocal(a) || address.Check(a, false) != nil {
			continue
		}
		if c, err := address.Circuit(a, l.dev); err == nil {
			addrs = append(addrs, c)
		}
	}
	return address.Unique(addrs, circuitsPerRelay), time.Until(got.Expiration)
}
