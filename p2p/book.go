package p2p

import (
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
)

// maxTold bounds the unsigned addresses of one device, so that whoever lies about them cannot crowd out signed ones.
const maxTold = 12

// maxBook bounds the devices of which addresses are remembered. When it is full, new ones are not remembered: whoever
// belongs to the mesh comes through SetMembers first.
const maxBook = 4096

// addressBook remembers where devices were last seen. Safe for concurrent use.
type addressBook struct {
	self shoal.DeviceID

	mu      sync.Mutex // guards entries
	entries map[shoal.DeviceID]*bookEntry
}

// bookEntry is what is known of one device. The zero value knows nothing.
type bookEntry struct {
	record *addressRecord // the newest signed one; nil if none
	told   []ma.Multiaddr // addresses that were seen or told without signature, latest first, at most maxTold
}

func newAddressBook(self shoal.DeviceID) *addressBook {
	return &addressBook{self: self, entries: make(map[shoal.DeviceID]*bookEntry)}
}

// entry returns the entry of dev, making it; nil when the book is full. The caller holds mu.
func (b *addressBook) entry(dev shoal.DeviceID) *bookEntry {
	e := b.entries[dev]
	if e == nil && len(b.entries) < maxBook {
		e = &bookEntry{}
		b.entries[dev] = e
	}
	return e
}

// learn puts addrs first among those told of dev and says whether one of them was not known before.
func (b *addressBook) learn(dev shoal.DeviceID, addrs []ma.Multiaddr) (news bool) {
	if dev == b.self || len(addrs) == 0 {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(dev)
	if e == nil {
		return false
	}
	known := e.all()
	for _, a := range addrs {
		news = news || !slices.ContainsFunc(known, a.Equal)
	}
	e.told = uniqueAddrs(append(slices.Clone(addrs), e.told...), maxTold)
	return news
}

// accept keeps r if it is newer than what is known of its device and says so. A record of this device itself is never
// kept; publish asks for the time in it.
func (b *addressBook) accept(r *addressRecord) (news bool) {
	if r.device == b.self {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(r.device)
	if e == nil || e.record != nil && e.record.timeMS >= r.timeMS {
		return false
	}
	e.record = r
	return true
}

// addrs lists where dev may be found, best guess first.
func (b *addressBook) addrs(dev shoal.DeviceID) []ma.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[dev]; e != nil {
		return e.all()
	}
	return nil
}

// record returns the newest signed record of dev, or nil.
func (b *addressBook) record(dev shoal.DeviceID) *addressRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[dev]; e != nil {
		return e.record
	}
	return nil
}

// records lists the signed records of all devices that keep says yes to.
func (b *addressBook) records(keep func(shoal.DeviceID) bool) []*addressRecord {
	b.mu.Lock()
	var all []*addressRecord
	for _, e := range b.entries {
		if e.record != nil {
			all = append(all, e.record)
		}
	}
	b.mu.Unlock() // keep belongs to the caller and is not run under the lock
	return slices.DeleteFunc(all, func(r *addressRecord) bool { return !keep(r.device) })
}

// forget drops every device that keep says no to.
func (b *addressBook) forget(keep func(shoal.DeviceID) bool) {
	b.mu.Lock()
	devices := make([]shoal.DeviceID, 0, len(b.entries))
	for d := range b.entries {
		devices = append(devices, d)
	}
	b.mu.Unlock()
	devices = slices.DeleteFunc(devices, keep)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range devices {
		delete(b.entries, d)
	}
}

func (e *bookEntry) all() []ma.Multiaddr {
	var out []ma.Multiaddr
	out = append(out, e.told...)
	if e.record != nil {
		out = append(out, e.record.addrs...)
	}
	return uniqueAddrs(out, maxTold+maxAddrs)
}
