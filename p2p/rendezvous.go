package p2p

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/rendezvous"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// MaxNote bounds what Rendezvous.Note returns, in bytes.
const MaxNote = rendezvous.MaxNote

// maxEntryAddrs bounds the addresses in a link's entry message.
const maxEntryAddrs = 8

// DHT says how a host takes part in the hash table in which devices of a mesh find each other among strangers. The zero
// value does not.
type DHT struct {
	// On leaves this device's record and looks for members that are missing, as soon as SetRendezvous was called and a way
	// in is known.
	On bool
	// Serve keeps records for others, all the time: for vaults. Without it a host serves if it has a public address
	// and others can reach it; otherwise its second host runs only while there is something to do.
	Serve bool
	// Listen are the multiaddrs of the second host when it serves; nil means those of the host with other ports: with a
	// Seed the next ones, so that who named this host as a way in finds it after a restart, else any. If they are taken
	// it is any, too.
	Listen []string
	// Seed makes the identity of the second host the same in every run, for one that others name as a way in; it must not
	// be the device's own key. Nil: an identity that is thrown away.
	Seed *[32]byte
	// Bootstrap are ways in, multiaddrs with /p2p/; what has none is skipped. Members that serve tell theirs by themselves.
	Bootstrap []string
}

// Rendezvous is what the layer above contributes to being found. Its functions are called often, from any goroutine,
// never with a lock held, and must be quick. The zero value only serves others: a vault has no secrets.
type Rendezvous struct {
	// Secrets returns the rendezvous keys of the mesh's epochs that this device has, newest first. The first three count.
	Secrets func() [][32]byte
	// Devices returns the devices that leave records: those to look for when they are not connected.
	Devices func() []shoal.DeviceID
	// Note returns what to tell those who look for this device, at most MaxNote bytes; more is cut off.
	Note func() []byte
	// Found is called when the record of a device that is looked for was read; it may come again.
	Found func(Sighting)
}

// Sighting is what the record of a device said.
type Sighting struct {
	Device shoal.DeviceID
	At     time.Time // when the record was made, by that device's clock
	Addrs  []string  // where it was then, without /p2p/; they are dialed already
	Note   []byte
}

// SetRendezvous begins leaving and looking for records, if Config.DHT is on. Call it once, before Run.
func (h *Host) SetRendezvous(r Rendezvous) {
	if !h.cfg.DHT.On {
		return
	}
	r = r.withDefaults()
	c := rendezvous.Config{
		Identity: h.cfg.Identity, Clock: h.cfg.Clock, Rand: h.cfg.Rand, Log: h.log,
		Told: func() ([]ma.Multiaddr, []byte) {
			note := r.Note()
			return h.findable(), note[:min(len(note), MaxNote)]
		},
		Missing: func() map[shoal.DeviceID]bool { return h.missing(r.Devices()) },
		Secrets: func() []rendezvous.Secret {
			var out []rendezvous.Secret
			for _, s := range r.Secrets() {
				out = append(out, s)
			}
			return out
		},
		Found: func(s *rendezvous.Sighting) {
			h.learn(s.Device, s.Addrs)
			seen := Sighting{Device: s.Device, At: time.UnixMilli(s.TimeMS), Note: s.Note}
			for _, a := range s.Addrs {
				seen.Addrs = append(seen.Addrs, a.String())
			}
			r.Found(seen)
		},
		Entered: h.tellEntry,
	}
	for _, s := range h.cfg.DHT.Bootstrap {
		if a, err := ma.NewMultiaddr(s); err == nil {
			c.Bootstrap = append(c.Bootstrap, a)
		}
	}
	if h.cfg.DHT.Serve || slices.ContainsFunc(h.directAddrs(), manet.IsPublicAddr) {
		c.Listen, c.Public, c.PortMap = h.cfg.dhtListen(), !h.cfg.DHT.Serve, h.cfg.mapsPorts()
	}
	if seed := h.cfg.DHT.Seed; seed != nil {
		key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
		if err == nil { // it can only be wrong in length
			c.Key = key
		}
	}
	h.meet = rendezvous.New(c)
}

func (r Rendezvous) withDefaults() Rendezvous {
	if r.Secrets == nil {
		r.Secrets = func() [][32]byte { return nil }
	}
	if r.Devices == nil {
		r.Devices = func() []shoal.DeviceID { return nil }
	}
	if r.Note == nil {
		r.Note = func() []byte { return nil }
	}
	if r.Found == nil {
		r.Found = func(Sighting) {}
	}
	return r
}

// dhtListen are the addresses of the second host.
func (c Config) dhtListen() []string {
	if c.DHT.Listen != nil {
		return c.DHT.Listen
	}
	var out []string
	for _, s := range c.Listen {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			continue
		}
		ip, _ := ma.SplitFirst(a)
		if ip == nil {
			continue
		}
		port := 0
		if c.DHT.Seed != nil {
			port = portAfter(a)
		}
		tail := fmt.Sprintf("/tcp/%d", port)
		if !address.IsTCP(a) {
			tail = fmt.Sprintf("/udp/%d/quic-v1", port)
		}
		out = append(out, ip.String()+tail)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// portAfter is the port after that of a; 0 if a has none, or any.
func portAfter(a ma.Multiaddr) int {
	text, err := a.ValueForProtocol(ma.P_TCP)
	if err != nil {
		text, err = a.ValueForProtocol(ma.P_UDP)
	}
	port, notNumber := strconv.Atoi(text)
	if err != nil || notNumber != nil || port == 0 || port == 1<<16-1 {
		return 0
	}
	return port + 1
}

// findable lists where others may find this device from afar: public addresses and circuits first; its own machine's
// only if there are no others.
func (h *Host) findable() []ma.Multiaddr {
	addrs := h.ownAddrs()
	far := func(a ma.Multiaddr) int {
		switch {
		case !address.IsNear(a, nil) && !address.IsRelayed(a):
			return 0
		case address.IsRelayed(a):
			return 1
		case manet.IsIPLoopback(a):
			return 3
		}
		return 2
	}
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return far(a) - far(b) })
	if len(addrs) > 0 && far(addrs[0]) < 3 {
		addrs = slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool { return far(a) == 3 })
	}
	return address.Unique(addrs, rendezvous.MaxAddrs)
}

// missing returns those that are not connected.
func (h *Host) missing(devices []shoal.DeviceID) map[shoal.DeviceID]bool {
	out := make(map[shoal.DeviceID]bool)
	for _, d := range devices {
		if d != h.self && h.links.of(d) == nil {
			out[d] = true
		}
	}
	return out
}

// RendezvousChanged says that what Rendezvous tells has changed: the note, the secrets or the devices.
func (h *Host) RendezvousChanged() {
	if h.meet != nil {
		h.meet.Poke()
	}
}

// Provide announces among strangers that this device has what a root names, for two days; repeat it daily. Its second
// host stays up from then on. What is announced does not tell the root to who lacks it. Needs SetRendezvous.
// Errors: ErrUnreachable when there is no way into the hash table.
func (h *Host) Provide(ctx context.Context, root [32]byte) error {
	if h.meet == nil {
		return fmt.Errorf("announce a root: %w", ErrUnreachable)
	}
	if err := h.meet.Provide(ctx, root); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return nil
}

// Providers finds the second hosts that announced a root, as multiaddrs with /p2p/; empty: nobody has. Errors: as Provide.
func (h *Host) Providers(ctx context.Context, root [32]byte) ([]string, error) {
	if h.meet == nil {
		return nil, fmt.Errorf("look for a root: %w", ErrUnreachable)
	}
	addrs, err := h.meet.Providers(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return texts(addrs), nil
}

// DHTEntries lists ways into the hash table that are known now, this host's own first if it serves: what DHT.Bootstrap
// wants to be given after a restart, or on other devices.
func (h *Host) DHTEntries() []string {
	if h.meet == nil {
		return nil
	}
	return append(h.DHTEntry(), texts(h.meet.Neighbours())...)
}

// DHTEntry lists where this host's second host can be entered by anybody, with /p2p/; none when it does not serve, or not yet.
func (h *Host) DHTEntry() []string {
	var out []string
	for _, raw := range h.ownEntry().GetAddrs() {
		if a, err := ma.NewMultiaddrBytes(raw); err == nil {
			out = append(out, a.String())
		}
	}
	return out
}

func texts(addrs []ma.Multiaddr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// tellEntry lets members know where the second host can be entered.
func (h *Host) tellEntry(addrs []ma.Multiaddr) {
	e := &wire.Entry{}
	for _, a := range addrs[:min(len(addrs), maxEntryAddrs)] {
		e.Addrs = append(e.Addrs, a.Bytes())
	}
	h.mu.Lock()
	h.entry = e
	h.mu.Unlock()
	for _, l := range h.links.all() {
		l.tellEntry(e)
	}
}

func (h *Host) ownEntry() *wire.Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entry
}

// hearEntry takes in where the second host of a member can be entered. What is no address is skipped: later versions may
// know others.
func (h *Host) hearEntry(from shoal.DeviceID, e *wire.Entry) {
	if h.meet == nil {
		return
	}
	var addrs []ma.Multiaddr
	for _, raw := range e.GetAddrs()[:min(len(e.GetAddrs()), maxEntryAddrs)] {
		a, err := ma.NewMultiaddrBytes(raw)
		if err != nil {
			continue
		}
		if bare, id := peer.SplitAddr(a); id != "" && address.Check(bare, false) == nil {
			addrs = append(addrs, a)
		}
	}
	h.meet.AddEntries(from.String(), addrs)
}
