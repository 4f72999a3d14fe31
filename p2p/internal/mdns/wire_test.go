package mdns

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

func someNotice(t testing.TB, service string, plates ...uint32) Notice {
	t.Helper()
	n := Notice{Service: service, Device: shoal.DeviceID{1, 2, 3}, Plates: plates}
	for _, s := range []string{"/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/udp/4001/quic-v1"} {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		n.Addrs = append(n.Addrs, a)
	}
	return n
}

func (n Notice) text() string {
	var addrs []string
	for _, a := range n.Addrs {
		addrs = append(addrs, a.String())
	}
	return fmt.Sprintf("%s|%s|%v|%s", n.Service, n.Device, n.Plates, strings.Join(addrs, ","))
}

func TestNoticesAndQueriesArrive(t *testing.T) {
	t.Parallel()
	for _, n := range []Notice{someNotice(t, Members), someNotice(t, Pairing, 7, 99)} {
		raw, err := encodeNotice(n, "shoal-0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodePacket(raw)
		if err != nil || len(got.asked) != 0 || len(got.notices) != 1 || got.notices[0].text() != n.text() {
			t.Errorf("%+v, %v; want %s", got, err, n.text())
		}
		if raw, err = encodeQuery(n.Service); err != nil {
			t.Fatal(err)
		}
		if got, err := decodePacket(raw); err != nil || len(got.notices) != 0 || !slices.Equal(got.asked, []string{n.Service}) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestNoticeFitsAFrame(t *testing.T) {
	t.Parallel()
	n := someNotice(t, Pairing)
	long, err := ma.NewMultiaddr("/ip6/2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/udp/65535/quic-v1")
	if err != nil {
		t.Fatal(err)
	}
	n.Addrs = nil
	for range 24 {
		n.Addrs = append(n.Addrs, long)
	}
	for i := range uint32(16) {
		n.Plates = append(n.Plates, 9000+i)
	}
	raw, err := encodeNotice(n, "shoal-0123456789abcdef")
	if err != nil || len(raw) > 1400 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
}

// TestGoldenPackets reads testdata/packets.txt.
func TestGoldenPackets(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/packets.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		lines++
		raw, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		p, err := decodePacket(raw)
		if f[0] == "malformed" {
			if !errors.Is(err, address.ErrMalformed) {
				t.Errorf("%s: %v", f[1], err)
			}
			continue
		}
		var have []string
		have = append(have, p.asked...)
		for _, n := range p.notices {
			have = append(have, strings.Fields(n.text())...)
		}
		if err != nil || !slices.Equal(have, f[3:]) {
			t.Errorf("%s: %v, %v; want %v", f[1], have, err, f[3:])
		}
	}
	if lines < 5 {
		t.Fatalf("%d vectors", lines)
	}
}

func FuzzDecodePacket(f *testing.F) {
	if raw, err := encodeNotice(someNotice(f, Pairing, 7), "shoal-1"); err == nil {
		f.Add(raw)
	}
	if raw, err := encodeQuery(Members); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := decodePacket(raw)
		if err != nil {
			return
		}
		if len(p.asked) > maxRecords || len(p.notices) > maxRecords {
			t.Fatalf("%d questions, %d notices", len(p.asked), len(p.notices))
		}
		for _, n := range p.notices {
			if n.Device.Validate() != nil || len(n.Addrs) == 0 || len(n.Addrs) > maxAddrs {
				t.Fatalf("notice %+v", n)
			}
			for _, a := range n.Addrs {
				if address.Check(a, false) != nil {
					t.Fatalf("address %s", a)
				}
			}
		}
	})
}
