package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/routing"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
	"github.com/zeebo/blake3"
)

const (
	// Prefix begins the protocol ID of the hash table: it is ours alone.
	Prefix = "/shoal"
	// enterWait bounds finding a way in, callWait one put or get.
	enterWait = 15 * time.Second
	callWait  = 40 * time.Second
	// maxEntries bounds the ways in that are tried at once.
	maxEntries = 16
	// lowConns and highConns are between how many connections a serving host keeps.
	lowConns, highConns = 64, 128
	// maxMemory bounds the buffers of all connections with strangers.
	maxMemory = 64 << 20
	// serverRefresh is how often a serving host looks after its neighbourhood.
	serverRefresh = time.Hour
	// maxProviders bounds the answers to one search for providers.
	maxProviders = 20
)

// hostOptions are what a second host is made from.
type hostOptions struct {
	listen  []string       // nil: it only dials
	key     crypto.PrivKey // nil: thrown away with the host
	portMap bool
	serve   bool
	public  bool // serve only once others have confirmed that this host can be reached (AutoNAT v2)
	clock   func() time.Time
	entries func() []peer.AddrInfo
	asked   func() // called for each request; nil: nobody counts
}

// second is a host among strangers that takes part in the hash table. Safe for concurrent use. Close it.
type second struct {
	opts hostOptions
	net  host.Host
	dht  *dht.IpfsDHT
	work sync.WaitGroup // followReach
	stop func()
}

// openSecond starts a host. It has entered nowhere yet.
func openSecond(o hostOptions) (*second, error) {
	limits, err := strangerLimits()
	if err != nil {
		return nil, fmt.Errorf("set limits for strangers: %w", err)
	}
	manager, err := connmgr.NewConnManager(lowConns, highConns, connmgr.WithGracePeriod(30*time.Second))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("limit connections with strangers: %w", err), limits.Close())
	}
	options := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()), libp2p.Transport(quic.NewTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(limits), libp2p.ConnectionManager(manager), libp2p.ConnectionGater(&stranger{entries: o.entries}),
		libp2p.UserAgent("shoal"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false),
	}
	if len(o.listen) == 0 {
		options = append(options, libp2p.NoListenAddrs)
	} else {
		options = append(options, libp2p.ListenAddrStrings(o.listen...), libp2p.EnableAutoNATv2())
	}
	if o.key != nil {
		options = append(options, libp2p.Identity(o.key))
	}
	if o.portMap {
		options = append(options, libp2p.NATPortMap())
	}
	h, err := libp2p.New(options...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start host for strangers: %w", err), limits.Close())
	}
	s := &second{opts: o, net: h, stop: func() {}}
	if s.dht, err = dht.New(h, tableOptions(o)...); err != nil {
		return nil, errors.Join(fmt.Errorf("start hash table: %w", err), h.Close())
	}
	if o.serve && o.public {
		if err := s.followReach(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// followReach lets the hash table serve while others can reach this host, as AutoNAT v2 found; the table itself listens
// to its first version only.
func (s *second) followReach() error {
	sub, err := s.net.EventBus().Subscribe(new(event.EvtHostReachableAddrsChanged))
	if err != nil {
		return fmt.Errorf("watch who reaches this host: %w", err)
	}
	tell, err := s.net.EventBus().Emitter(new(event.EvtLocalReachabilityChanged))
	if err != nil {
		return errors.Join(fmt.Errorf("watch who reaches this host: %w", err), sub.Close())
	}
	s.stop = func() { _ = sub.Close() } // its only error is that it is closed
	s.work.Go(func() {
		defer tell.Close()
		for e := range sub.Out() {
			reach := network.ReachabilityPrivate
			if r, ok := e.(event.EvtHostReachableAddrsChanged); ok && len(r.Reachable) > 0 {
				reach = network.ReachabilityPublic
			}
			if tell.Emit(event.EvtLocalReachabilityChanged{Reachability: reach}) != nil {
				return
			}
		}
	})
	return nil
}

func tableOptions(o hostOptions) []dht.Option {
	mode := dht.ModeClient
	switch {
	case o.serve && o.public:
		mode = dht.ModeAuto
	case o.serve:
		mode = dht.ModeServer
	}
	pace := newPace()
	options := []dht.Option{
		dht.ProtocolPrefix(Prefix), dht.Mode(mode), dht.Validator(validator{o.clock}),
		dht.ValueDatastore(newStore()), dht.ProviderDatastore(newStore()),
		dht.OnRequestHook(func(_ context.Context, s network.Stream, _ *pb.Message) {
			if o.asked != nil {
				o.asked()
			}
			if !pace.allow(s.Conn().RemotePeer(), time.Now()) {
				_ = s.Reset()
			}
		}),
	}
	if o.serve {
		return append(options, dht.RoutingTableRefreshPeriod(serverRefresh), dht.BootstrapPeersFunc(o.entries))
	}
	return append(options, dht.DisableAutoRefresh())
}

// strangerLimits are what strangers may make this host spend.
func strangerLimits() (network.ResourceManager, error) {
	conns, streams := rcmgr.LimitVal(2*highConns), rcmgr.LimitVal(8*highConns)
	partial := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: conns, ConnsInbound: conns, ConnsOutbound: conns, FD: conns, Memory: maxMemory,
			Streams: 2 * streams, StreamsInbound: streams, StreamsOutbound: streams,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: 4, ConnsInbound: 2, ConnsOutbound: 4, FD: 4, Memory: maxMemory / 8,
			Streams: 32, StreamsInbound: 16, StreamsOutbound: 16,
		},
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(partial.Build(rcmgr.DefaultLimits.AutoScale())), rcmgr.WithMetricsDisabled())
}

// Close ends the host and all that it does.
func (s *second) Close() error {
	s.stop()
	s.work.Wait()
	return errors.Join(s.dht.Close(), s.net.Close())
}

// enter connects to entries until the hash table knows somebody. ErrAlone: there is no way in.
func (s *second) enter(ctx context.Context) error {
	if s.dht.RoutingTable().Size() > 0 {
		return nil
	}
	entries := slices.DeleteFunc(s.opts.entries(), func(i peer.AddrInfo) bool { return i.ID == s.net.ID() })
	if len(entries) == 0 {
		return ErrAlone
	}
	ctx, cancel := context.WithTimeout(ctx, enterWait)
	defer cancel()
	var dials sync.WaitGroup
	defer dials.Wait()
	defer cancel()
	for _, e := range entries[:min(len(entries), maxEntries)] {
		dials.Go(func() { _ = s.net.Connect(ctx, e) }) // whether it came to something shows in the table
	}
	tick := time.NewTicker(20 * time.Millisecond) // the table has no bell, and this ends soon
	defer tick.Stop()
	for s.dht.RoutingTable().Size() == 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d entries do not answer: %w", len(entries), ErrAlone)
		}
	}
	return nil
}

// put leaves a record.
func (s *second) put(ctx context.Context, n Name, record []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	if err := s.dht.PutValue(ctx, n.Path(), record); err != nil {
		return fmt.Errorf("leave rendezvous record: %w", err)
	}
	return nil
}

// get finds the newest record at a name. ErrNotFound: nobody has one.
func (s *second) get(ctx context.Context, n Name) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	raw, err := s.dht.GetValue(ctx, n.Path())
	if errors.Is(err, routing.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("look for rendezvous record: %w", err)
	}
	return raw, nil
}

// providerKey is what is announced for a root: it does not tell the root to who lacks it.
func providerKey(root [32]byte) (cid.Cid, error) {
	var sum [32]byte
	blake3.DeriveKey(contextProvider, root[:], sum[:])
	hash, err := mh.Encode(sum[:], mh.BLAKE3)
	if err != nil {
		return cid.Undef, fmt.Errorf("provider key: %w", err)
	}
	return cid.NewCidV1(cid.Raw, hash), nil
}

// provide announces that this host has a root.
func (s *second) provide(ctx context.Context, root [32]byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	k, err := providerKey(root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	if err := s.dht.Provide(ctx, k, true); err != nil {
		return fmt.Errorf("announce a root: %w", err)
	}
	return nil
}

// providers finds hosts that announced a root.
func (s *second) providers(ctx context.Context, root [32]byte) ([]ma.Multiaddr, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	k, err := providerKey(root)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callWait)
	defer cancel()
	var out []ma.Multiaddr
	for p := range s.dht.FindProvidersAsync(ctx, k, maxProviders) {
		full, err := peer.AddrInfoToP2pAddrs(&p)
		if err == nil {
			out = append(out, full...)
		}
	}
	return out, nil
}

// neighbours lists hosts through which the table can be entered another time.
func (s *second) neighbours(most int) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, info := range peerstore.AddrInfos(s.net.Peerstore(), s.dht.RoutingTable().ListPeers()) {
		if full, err := peer.AddrInfoToP2pAddrs(&info); err == nil && len(out) < most {
			out = append(out, full...)
		}
	}
	return out[:min(len(out), most)]
}

// addrs lists where this host can be entered.
func (s *second) addrs() []ma.Multiaddr {
	full, err := peer.AddrInfoToP2pAddrs(host.InfoFromHost(s.net))
	if err != nil {
		return nil
	}
	return full
}

// near is the network, /16 or /48, around an address that strangers must not make this host dial, and whether there is
// one: what is private.
func near(a ma.Multiaddr) (n netip.Prefix, private bool) {
	ip, err := netIP(a)
	if err != nil || !ip.IsPrivate() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
		return n, false
	}
	bits := 16
	if ip.Is6() {
		bits = 48
	}
	n, err = ip.Prefix(bits)
	return n, err == nil
}
