package address

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
const maxBook = 1024

// Book remembers where devices were last seen. Safe for concurrent use.
type Book struct {
	self shoal.DeviceID

	mu      sync.Mutex // guards entries
	entries map[shoal.DeviceID]*bookEntry
}

// bookEntry is what is known of one device. The zero value knows nothing.
type bookEntry struct {
	record *Record        // the newest signed one; nil if none
	told   []ma.Multiaddr // addresses that were seen or told without signature, latest first, at most maxTold
}

// NewBook returns an empty book of the device self, whose own addresses it does not hold.
func NewBook(self shoal.DeviceID) *Book {
	return &Book{self: self, entries: make(map[shoal.DeviceID]*bookEntry)}
}

// entry returns the entry of dev, making it; nil when the book is full. The caller holds mu.
func (b *Book) entry(dev shoal.DeviceID) *bookEntry {
	e := b.entries[dev]
	if e == nil && len(b.entries) < maxBook {
		e = &bookEntry{}
		b.entries[dev] = e
	}
	return e
}

// Learn puts addrs first among those told of dev and says whether one of them was not known before.
func (b *Book) Learn(dev shoal.DeviceID, addrs []ma.Multiaddr) (news bool) {
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
	e.told = Unique(append(slices.Clone(addrs), e.told...), maxTold)
	return news
}

// Accept keeps r if it is newer than what is known of its device and says so. A record of this device itself is never
// kept; publish asks for the time in it.
func (b *Book) Accept(r *Record) (news bool) {
	if r.Device == b.self {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entry(r.Device)
	if e == nil || e.record != nil && e.record.TimeMS >= r.TimeMS {
		return false
	}
	e.record = r
	return true
}

// Addrs lists where dev may be found, best guess first.
func (b *Book) Addrs(dev shoal.DeviceID) []ma.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[dev]; e != nil {
		return e.all()
	}
	return nil
}

// Record returns the newest signed record of dev, or nil.
func (b *Book) Record(dev shoal.DeviceID) *Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[dev]; e != nil {
		return e.record
	}
	return nil
}

// Records lists the signed records of all devices that keep says yes to.
func (b *Book) Records(keep func(shoal.DeviceID) bool) []*Record {
	b.mu.Lock()
	var all []*Record
	for _, e := range b.entries {
		if e.record != nil {
			all = append(all, e.record)
		}
	}
	b.mu.Unlock() // keep belongs to the caller and is not run under the lock
	return slices.DeleteFunc(all, func(r *Record) bool { return !keep(r.Device) })
}

// Forget drops every device that keep says no to.
func (b *Book) Forget(keep func(shoal.DeviceID) bool) {
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
		out = append(out, e.record.Addrs...)
	}
	return Unique(out, maxTold+MaxAddrs)
}
