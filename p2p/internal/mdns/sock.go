package mdns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/shoalmesh/shoal/p2p/internal/address"
)

var (
	group4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	group6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: 5353}
)

// sock is the multicast sockets of one moment: one per IP version, joined on every interface that can multicast.
type sock struct {
	ifaces []net.Interface
	v4     *ipv4.PacketConn // nil if IPv4 has no multicast
	v6     *ipv6.PacketConn // nil if IPv6 has no multicast
}

// openSock joins the multicast groups; an error means that this machine has no multicast at all now.
func openSock() (*sock, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	s := &sock{}
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 {
			s.ifaces = append(s.ifaces, i)
		}
	}
	if len(s.ifaces) > 0 {
		s.join4()
		s.join6()
	}
	if s.v4 == nil && s.v6 == nil {
		return nil, errors.New("no interface can multicast")
	}
	return s, nil
}

func (s *sock) join4() {
	c, err := net.ListenUDP("udp4", group4) // shares the port with other responders of this machine
	if err != nil {
		return
	}
	p := ipv4.NewPacketConn(c)
	joined := 0
	for i := range s.ifaces {
		if p.JoinGroup(&s.ifaces[i], group4) == nil {
			joined++
		}
	}
	// Other hosts of this machine listen too; RFC 6762 §11 wants TTL 255.
	if joined == 0 || p.SetMulticastLoopback(true) != nil || p.SetMulticastTTL(255) != nil {
		_ = p.Close()
		return
	}
	s.v4 = p
}

func (s *sock) join6() {
	c, err := net.ListenUDP("udp6", group6)
	if err != nil {
		return
	}
	p := ipv6.NewPacketConn(c)
	joined := 0
	for i := range s.ifaces {
		if p.JoinGroup(&s.ifaces[i], group6) == nil {
			joined++
		}
	}
	if joined == 0 || p.SetMulticastLoopback(true) != nil || p.SetMulticastHopLimit(255) != nil {
		_ = p.Close()
		return
	}
	s.v6 = p
}

// send multicasts a packet on every interface. What cannot be sent is lost, as on any network.
func (s *sock) send(raw []byte) {
	for i := range s.ifaces {
		if s.v4 != nil && s.v4.SetMulticastInterface(&s.ifaces[i]) == nil {
			_, _ = s.v4.WriteTo(raw, nil, group4)
		}
		if s.v6 != nil && s.v6.SetMulticastInterface(&s.ifaces[i]) == nil {
			_, _ = s.v6.WriteTo(raw, nil, group6)
		}
	}
}

// receive hands every packet from a local network to got, from at most two goroutines, until close; then it returns.
// The slice is valid during the call only.
func (s *sock) receive(near func() []netip.Prefix, got func([]byte)) {
	var readers sync.WaitGroup
	read := func(from func([]byte) (int, net.Addr, error)) {
		buf := make([]byte, maxPacket)
		for {
			n, src, err := from(buf)
			if err != nil {
				return
			}
			if fromNear(src, near()) { // RFC 6762 §11: nothing from beyond the link counts
				got(buf[:n])
			}
		}
	}
	if s.v4 != nil {
		readers.Go(func() {
			read(func(b []byte) (int, net.Addr, error) {
				n, _, src, err := s.v4.ReadFrom(b)
				return n, src, err
			})
		})
	}
	if s.v6 != nil {
		readers.Go(func() {
			read(func(b []byte) (int, net.Addr, error) {
				n, _, src, err := s.v6.ReadFrom(b)
				return n, src, err
			})
		})
	}
	readers.Wait()
}

func fromNear(src net.Addr, near []netip.Prefix) bool {
	u, ok := src.(*net.UDPAddr)
	if !ok {
		return false
	}
	a, ok := netip.AddrFromSlice(u.IP)
	if !ok {
		return false
	}
	a = a.Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range near {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (s *sock) close() {
	if s.v4 != nil {
		_ = s.v4.Close()
	}
	if s.v6 != nil {
		_ = s.v6.Close()
	}
}

// Works sends a query and tells whether it comes back within wait: whether hosts of this machine could hear each other.
// doctor and tests ask.
func Works(clock func() time.Time, wait time.Duration) bool {
	s, err := openSock()
	if err != nil {
		return false
	}
	heard := make(chan struct{}, 1)
	near := &address.Attached{Clock: clock}
	var reader sync.WaitGroup
	reader.Go(func() {
		s.receive(near.Networks, func([]byte) {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	})
	defer reader.Wait()
	defer s.close()
	raw, err := encodeQuery(Members)
	if err != nil {
		return false
	}
	s.send(raw)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-heard:
		return true
	case <-timer.C:
		return false
	}
}
