package p2p

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/shoalmesh/shoal"
)

// Names on the local network (DNS-SD, RFC 6763). A host answers for the first always, for the second while a code is open.
const (
	mdnsMembers = "_shoal._udp.local."
	mdnsPairing = "_shoal-pair._udp.local."
)

const (
	mdnsTTL = 120 // seconds, as RFC 6762 §10 recommends for what names a host
	// maxMDNSPacket is what is read of a packet (RFC 6762 §17), maxMDNSRecords how many of its records are looked at.
	maxMDNSPacket  = 9000
	maxMDNSRecords = 64
	// maxMDNSAddrs keeps what is sent within one Ethernet frame.
	maxMDNSAddrs = 8
	// cacheFlush marks a record that has one owner (RFC 6762 §10.2).
	cacheFlush = 1 << 15
)

// notice is what a host says of itself on the local network. Nothing in it is proved.
type notice struct {
	service string // mdnsMembers or mdnsPairing
	device  shoal.DeviceID
	addrs   []ma.Multiaddr // the dialed shape, without names
	plates  []uint32       // mdnsPairing: the nameplates it shows
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
func encodeNotice(n notice, instance string) ([]byte, error) {
	service, err := dnsmessage.NewName(n.service)
	if err != nil {
		return nil, err
	}
	name, err := dnsmessage.NewName(instance + "." + n.service)
	if err != nil {
		return nil, err
	}
	target, err := dnsmessage.NewName(instance + ".local.")
	if err != nil {
		return nil, err
	}
	text := []string{"id=" + n.device.String()}
	for _, p := range n.plates {
		text = append(text, "n="+strconv.FormatUint(uint64(p), 10))
	}
	addrs := n.addrs[:min(len(n.addrs), maxMDNSAddrs)]
	for _, a := range addrs {
		text = append(text, "a="+a.String())
	}
	own := func(t dnsmessage.Type, name dnsmessage.Name) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Type: t, Class: dnsmessage.ClassINET | cacheFlush, TTL: mdnsTTL}
	}
	m := dnsmessage.Message{
		Header: dnsmessage.Header{Response: true, Authoritative: true},
		Answers: []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: service, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: mdnsTTL},
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
	notices []notice
}

// decodePacket reads a packet of the local network. Much of what comes there is not for us: that is no error. An
// error means the packet is broken and nothing of it is used.
func decodePacket(raw []byte) (heardPacket, error) {
	var out heardPacket
	var p dnsmessage.Parser
	head, err := p.Start(raw)
	if err != nil {
		return out, fmt.Errorf("mDNS packet: %w", ErrMalformed)
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return out, fmt.Errorf("mDNS packet: %w", ErrMalformed)
	}
	if !head.Response {
		for _, q := range questions[:min(len(questions), maxMDNSRecords)] {
			name := strings.ToLower(q.Name.String())
			if (q.Type == dnsmessage.TypePTR || q.Type == dnsmessage.TypeALL) && (name == mdnsMembers || name == mdnsPairing) {
				out.asked = append(out.asked, name)
			}
		}
		return out, nil
	}
	for range maxMDNSRecords {
		h, body, err := nextText(&p)
		if err != nil {
			break
		}
		if body == nil || h.TTL == 0 {
			continue
		}
		for _, service := range []string{mdnsMembers, mdnsPairing} {
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
func noticeFrom(service string, texts []string) (notice, bool) {
	n := notice{service: service}
	for _, s := range texts[:min(len(texts), maxMDNSRecords)] {
		key, value, _ := strings.Cut(s, "=")
		switch key {
		case "id":
			if d, err := shoal.ParseDeviceID(value); err == nil {
				n.device = d
			}
		case "n":
			if p, err := strconv.ParseUint(value, 10, 32); err == nil && p >= 1 && p <= maxPlate {
				n.plates = append(n.plates, uint32(p))
			}
		case "a":
			a, err := ma.NewMultiaddr(value)
			if err == nil && checkAddr(a, false) == nil && len(n.addrs) < maxMDNSAddrs {
				n.addrs = append(n.addrs, a)
			}
		}
	}
	return n, n.device != (shoal.DeviceID{}) && len(n.addrs) > 0
}
