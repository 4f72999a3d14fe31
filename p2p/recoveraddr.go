package p2p

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	msmux "github.com/multiformats/go-multistream"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// parsePeer reads the address of a device as a person gives it: a multiaddr with or without /p2p/, or host:port. The device is
// zero when the address does not name it.
func parsePeer(s string) (dev shoal.DeviceID, bare ma.Multiaddr, err error) {
	fault := func(err error) error {
		return fmt.Errorf("%q: %w: %w; one looks like /ip4/192.0.2.7/tcp/4001/p2p/12D3…, or 192.0.2.7:4001", s, ErrAddress, err)
	}
	text := strings.TrimSpace(s)
	if !strings.HasPrefix(text, "/") {
		if text, err = fromHostPort(text); err != nil {
			return dev, nil, fault(err)
		}
	}
	if _, id, named := strings.Cut(text, "/p2p/"); named {
		p, err := peer.Decode(id)
		if err != nil {
			return dev, nil, fault(err)
		}
		var ok bool
		if dev, ok = address.FromPeer(p); !ok {
			return dev, nil, fault(fmt.Errorf("%s is no device", id))
		}
	}
	if bare, err = address.Parse(text, dev); err != nil {
		return dev, nil, fault(err)
	}
	if dev == (shoal.DeviceID{}) && !address.IsTCP(bare) {
		return dev, nil, fault(fmt.Errorf("an address for QUIC needs /p2p/ and the device at its end"))
	}
	return dev, bare, nil
}

// fromHostPort makes a multiaddr of host:port.
func fromHostPort(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(host+port, '/') {
		return "", fmt.Errorf("a slash in %q", s)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return "/dns/" + host + "/tcp/" + port, nil
	case ip.Is4():
		return "/ip4/" + host + "/tcp/" + port, nil
	}
	return "/ip6/" + host + "/tcp/" + port, nil
}

// whoIs asks who answers at a TCP address: a TLS handshake in which this side shows a key made for it, and nothing more. Who it
// is proves nothing but that the next connection ends at the same device.
func whoIs(ctx context.Context, a ma.Multiaddr) (dev shoal.DeviceID, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	kind, target, err := manet.DialArgs(a)
	if err != nil {
		return dev, fmt.Errorf("%s: %w: %w", a, ErrAddress, err)
	}
	raw, err := new(net.Dialer).DialContext(ctx, kind, target)
	if err != nil {
		return dev, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = raw.Close() }()
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline) // an error shows at the next Read
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	if err := msmux.SelectProtoOrFail(libp2ptls.ID, raw); err != nil {
		return dev, fmt.Errorf("%s speaks another language: %w", a, err)
	}
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return dev, fmt.Errorf("make a key: %w", err)
	}
	mine, err := libp2ptls.NewIdentity(key)
	if err != nil {
		return dev, fmt.Errorf("make a certificate: %w", err)
	}
	config, theirs := mine.ConfigForPeer("")
	if err := tls.Client(raw, config).HandshakeContext(ctx); err != nil {
		return dev, fmt.Errorf("handshake with %s: %w", a, err)
	}
	public, ok := <-theirs
	if !ok {
		return dev, fmt.Errorf("handshake with %s: no key", a)
	}
	p, err := peer.IDFromPublicKey(public)
	if err != nil {
		return dev, fmt.Errorf("handshake with %s: %w", a, err)
	}
	if dev, ok = address.FromPeer(p); !ok {
		return dev, fmt.Errorf("who answers at %s is no device: %w", a, ErrAddress)
	}
	return dev, nil
}
