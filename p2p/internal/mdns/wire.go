package mdns

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

// Names on the local network (DNS-SD, RFC 6763). A host answers for the first always, for the second while a code is open.
const (
	Members = "_shoal._udp.local."
	Pairing = "_shoal-pair._udp.local."
)

const (
	ttl = 120 // seconds, as RFC 6762 §10 recommends for what names a host
	// maxPacket is what is read of a packet (RFC 6762 §17), maxRecords how many of its records are looked at.
	maxPacket  = 9000
	maxRecords = 64
	// maxAddrs keeps what is sent within one Ethernet frame.
	maxAddrs = 8
	// cacheFlush marks a record that has one owner (RFC 6762 §10.2).
	cacheFlush = 1 << 15
)

// Notice is what a host says of itself on the local network. Nothing in it is proved.
type Notice struct {
	Service string // Members or Pairing
	Device  shoal.DeviceID
	Addrs   []ma.Multiaddr // the dialed shape, without names
	Plates  []uint32       // Pairing: the nameplates it shows
}

// encodeQuery asks who offers a service.
func encodeQuery(service string) ([]byte, error) {
	name, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}}}
	return m.Pack()
}

// encodeNotice answers: pointer, service, text and addresses of one instance.
func encodeNotice(n Notice, instance string) ([]byte, error) {
	service, err := dnsmessage.NewName(n.Service)
	if err != nil {
		return nil, err
	}
	name, err := dnsmessage.NewName(instance + "." + n.Service)
	if err != nil {
		return nil, err
	}
	target, err := dnsmessage.NewName(instance + ".local.")
	if err != nil {
		return nil, err
	}
	text := []string{"id=" + n.Device.String()}
	for _, p := range n.Plates {
		text = append(text, "n="+strconv.FormatUint(uint64(p), 10))
	}
	addrs := n.Addrs[:min(len(n.Addrs), maxAddrs)]
	for _, a := range addrs {
		text = append(text, "a="+a.String())
	}
	own := func(t dnsmessage.Type, name dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET | cacheFlush, TTL: ttl}
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   &dnsmessage.PTRResource{PTR: name},
		}},
		Additionals: []dnsmessage.Resource{
			{Header: own(dnsmessage.TypeSRV, name), Body: &dnsmessage.SRVResource{Port: firstPort(addrs), Target: target}},
			{Header: own(dnsmessage.TypeTXT, name), Body: &dnsmessage.TXTResource{TXT: text}},
		},
	}
	for _, ip := range hostIPs(addrs) {
		if v4 := ip.To4(); v4 != nil {
			m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: own(dnsmessage.TypeA, target), Body: &dnsmessage.AResource{A: [4]byte(v4)}})
		} else {
			m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: own(dnsmessage.TypeAAAA, target), Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}})
		}
	}
	return m.Pack()
}

func firstPort(addrs []ma.Multiaddr) uint16 {
	for _, a := range addrs {
		if n, err := strconv.ParseUint(a[1].Value(), 10, 16); err == nil {
			return uint16(n)
		}
	}
	return 0
}

func hostIPs(addrs []ma.Multiaddr) []net.IP {
	var out []net.IP
	seen := make(map[string]bool)
	for _, a := range addrs {
		if ip, err := manet.ToIP(a); err == nil && !seen[ip.String()] {
			seen[ip.String()] = true
			out = append(out, ip)
		}
	}
	return out
}

// heardPacket is what matters in one packet.
type heardPacket struct {
	asked   []string // services of ours that it asks for
	notices []Notice
}

// decodePacket reads a packet of the local network. Much of what comes there is not for us: that is no error. An
// error means the packet is broken and nothing of it is used.
func decodePacket(raw []byte) (heardPacket, error) {
	var out heardPacket
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil {
		return out, fmt.Errorf("mDNS packet: %w", address.ErrMalformed)
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return out, fmt.Errorf("mDNS packet: %w", address.ErrMalformed)
	}
	if !head.Response {
		for _, q := range questions[:min(len(questions), maxRecords)] {
			name := strings.ToLower(q.Name.String())
			if (q.Type == dnsmessage.TypePTR || q.Type == dnsmessage.TypeALL) && (name == Members || name == Pairing) {
				out.asked = append(out.asked, name)
			}
		}
		return out, nil
	}
	for range maxRecords {
		h, body, err := nextText(&p)
		if err != nil {
			break
		}
		if body == nil || h.TTL == 0 {
			continue
		}
		for _, service := range []string{Members, Pairing} {
			if n, ok := noticeFrom(service, body.TXT); ok && strings.HasSuffix(strings.ToLower(h.Name.String()), "."+service) {
				out.notices = append(out.notices, n)
			}
		}
	}
	return out, nil
}

// nextText steps over one record of any section; body is nil unless it is a text.
func nextText(p *dnsmessage.Parser) (h dnsmessage.ResourceHeader, body *dnsmessage.TXTResource, err error) {
	sections := []struct {
		header func() (dnsmessage.ResourceHeader, error)
		skip   func() error
	}{{p.AnswerHeader, p.SkipAnswer}, {p.AuthorityHeader, p.SkipAuthority}, {p.AdditionalHeader, p.SkipAdditional}}
	for _, s := range sections {
		h, err = s.header()
		if err != nil {
			continue // this section is over, or another is on
		}
		if h.Type != dnsmessage.TypeTXT {
			return h, nil, s.skip()
		}
		t, err := p.TXTResource()
		return h, &t, err
	}
	return h, nil, err
}

// noticeFrom reads the texts of an instance; false if they name no device.
func noticeFrom(service string, texts []string) (Notice, bool) {
	n := Notice{Service: service}
	for _, s := range texts[:min(len(texts), maxRecords)] {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "id":
			if d, err := shoal.ParseDeviceID(value); err == nil {
				n.Device = d
			}
		case "n":
			if p, err := strconv.ParseUint(value, 10, 32); err == nil && p >= 1 {
				n.Plates = append(n.Plates, uint32(p))
			}
		case "a":
			a, err := ma.NewMultiaddr(value)
			if err == nil && address.Check(a, false) == nil && len(n.Addrs) < maxAddrs {
				n.Addrs = append(n.Addrs, a)
			}
		}
	}
	return n, n.Device != (shoal.DeviceID{}) && len(n.Addrs) > 0
}
