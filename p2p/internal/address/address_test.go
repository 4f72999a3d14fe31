package address

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

func identity(t testing.TB) *mesh.Identity {
	t.Helper()
	id, err := mesh.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func addr(s string) ma.Multiaddr {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		panic(err)
	}
	return a
}

func addrs(ss ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range ss {
		out = append(out, addr(s))
	}
	return out
}

func TestDeviceAndPeerAreOneWord(t *testing.T) {
	t.Parallel()
	d := identity(t).Device()
	if got := PeerID(d).String(); got != d.String() {
		t.Fatalf("peer %s, device %s", got, d)
	}
	if back, ok := FromPeer(PeerID(d)); !ok || back != d {
		t.Fatal("there and back differs")
	}
	for _, p := range []peer.ID{"", "x", PeerID(d) + "x", PeerID(shoal.DeviceID{})} {
		if _, ok := FromPeer(p); ok {
			t.Fatalf("%q is a device", p)
		}
	}
}

func TestOnlyTheDialedShapesAreAddresses(t *testing.T) {
	t.Parallel()
	d, other := identity(t).Device(), identity(t).Device()
	for s, want := range map[string]bool{
		"/ip4/192.168.1.7/tcp/4001":                                                   true,
		"/ip4/192.168.1.7/udp/4001/quic-v1":                                           true,
		"/ip6/fd00::1/tcp/4001":                                                       true,
		"/ip4/192.168.1.7/tcp/4001/p2p/" + d.String():                                 true,
		"/dns4/home.example/tcp/4001":                                                 true,
		"/ip4/192.168.1.7/tcp/4001/p2p/" + other.String():                             false,
		"/ip4/0.0.0.0/tcp/4001":                                                       false,
		"/ip4/224.0.0.251/udp/5353/quic-v1":                                           false,
		"/ip4/192.168.1.7/tcp/0":                                                      false,
		"/ip4/192.168.1.7/udp/4001":                                                   false,
		"/ip4/192.168.1.7":                                                            false,
		"/ip4/192.168.1.7/tcp/4001/ws":                                                false,
		"/ip4/1.2.3.4/udp/4001/quic-v1/p2p-circuit":                                   false,
		"/ip4/1.2.3.4/tcp/1/p2p/" + other.String() + "/p2p-circuit":                   true,
		"/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + other.String() + "/p2p-circuit":           true,
		"/p2p/" + other.String() + "/p2p-circuit":                                     false,
		"/ip4/1.2.3.4/tcp/0/p2p/" + other.String() + "/p2p-circuit":                   false,
		"/ip4/1.2.3.4/tcp/1/p2p/" + other.String() + "/p2p-circuit/ip4/1.2.3.4/tcp/1": false,
		"/ip4/1.2.3.4/tcp/1/p2p/" + other.String() + "/p2p-circuit/p2p/" + d.String() + "/p2p-circuit": false,
		"/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit":            false,
		"/unix/tmp/socket": false,
		"":                 false,
		"192.168.1.7:4001": false,
		"/ip4/192.168.1.7/tcp/4001/" + string(make([]byte, 999)): false,
	} {
		if _, err := Parse(s, d); (err == nil) != want {
			t.Errorf("%q: %v", s, err)
		} else if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v is not ErrMalformed", s, err)
		}
	}
	if _, err := Decode(addr("/dns4/evil.example/tcp/1").Bytes()); !errors.Is(err, ErrMalformed) {
		t.Errorf("a name from the network: %v", err)
	}
	if a, err := Decode(addr("/ip4/10.0.0.1/tcp/1").Bytes()); err != nil || Full(a, d) != "/ip4/10.0.0.1/tcp/1/p2p/"+d.String() {
		t.Errorf("%v, %v", a, err)
	}
}

func TestACircuitComesApartAsItWasMade(t *testing.T) {
	t.Parallel()
	relay := identity(t).Device()
	at := addr("/ip6/fd00::1/udp/4001/quic-v1")
	c, err := Circuit(at, relay)
	if err != nil || Check(c, false) != nil || !IsRelayed(c) {
		t.Fatalf("%v, %v", c, err)
	}
	if got, dev, ok := SplitCircuit(c); !ok || dev != relay || !got.Equal(at) {
		t.Fatalf("%v, %s, %v", got, dev, ok)
	}
	if _, _, ok := SplitCircuit(at); ok {
		t.Fatal("a plain address is taken for a circuit")
	}
	name, err := Circuit(addr("/dns4/x.example/tcp/1"), relay)
	if err != nil || Check(name, false) == nil || Check(name, true) != nil {
		t.Fatalf("a relay behind a name: %v", err)
	}
}

func TestTCPGoesFirstNearbyAndQUICFarAway(t *testing.T) {
	t.Parallel()
	net := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for _, c := range []struct {
		name string
		in   []string
		want []time.Duration
	}{
		{"near", []string{"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1"}, []time.Duration{0, nearQUICDelay, 0}},
		{"attached", []string{"/ip4/203.0.113.9/udp/1/quic-v1", "/ip4/203.0.113.9/tcp/1"}, []time.Duration{nearQUICDelay, 0}},
		{"near QUIC alone", []string{"/ip4/10.0.0.1/udp/1/quic-v1"}, []time.Duration{0}},
		{"far", []string{"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1"}, []time.Duration{farTCPDelay, 0}},
		{"far TCP alone", []string{"/ip4/8.8.8.8/tcp/1"}, []time.Duration{0}},
		{"relay", []string{"/ip4/8.8.8.8/tcp/1/p2p-circuit", "/ip4/10.0.0.1/tcp/1"}, []time.Duration{relayDelay, 0}},
		{"near relay, far device", []string{"/ip4/10.0.0.1/tcp/1/p2p-circuit", "/ip4/8.8.8.8/udp/1/quic-v1"}, []time.Duration{relayDelay, 0}},
		{"relay alone", []string{"/ip4/8.8.8.8/tcp/1/p2p-circuit"}, []time.Duration{0}},
	} {
		got := Rank(addrs(c.in...), net)
		for i, g := range got {
			if g.Delay != c.want[i] {
				t.Errorf("%s: %s after %s, want %s", c.name, g.Addr, g.Delay, c.want[i])
			}
		}
	}
}

func TestOrderPutsLocalNetworksFirst(t *testing.T) {
	t.Parallel()
	in := []string{"/ip4/192.168.0.2/tcp/1", "/ip4/192.168.0.2/udp/1/quic-v1", "/ip6/fd00::1/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/::1/udp/1/quic-v1"}
	for i := 1; i < len(in); i++ {
		if Order(addr(in[i-1])) >= Order(addr(in[i])) {
			t.Errorf("%s does not come before %s", in[i-1], in[i])
		}
	}
}

func TestRecordTravels(t *testing.T) {
	t.Parallel()
	id := identity(t)
	r, err := Sign(id, 1234, addrs("/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/udp/2/quic-v1"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRecord(raw)
	if err != nil || got.Device != id.Device() || got.TimeMS != 1234 || len(got.Addrs) != 2 || !got.Addrs[1].Equal(r.Addrs[1]) {
		t.Fatalf("%+v, %v", got, err)
	}
	again, err := Encode(got)
	if err != nil || !bytes.Equal(again, raw) {
		t.Fatal("a record changes on its way")
	}
}

func TestForgedAndBrokenRecordsAreRefused(t *testing.T) {
	t.Parallel()
	id, other := identity(t), identity(t)
	r, err := Sign(id, 1, addrs("/ip4/10.0.0.1/tcp/1"))
	if err != nil {
		t.Fatal(err)
	}
	otherDevice, ownDevice := other.Device(), id.Device()
	sign := func(m *wire.Addresses, by *mesh.Identity) *wire.Signed {
		body, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return &wire.Signed{Body: body, Signature: by.Sign(label, body)}
	}
	flipped := bytes.Clone(r.Raw.Signature)
	flipped[5] ^= 1
	many := make([][]byte, MaxAddrs+1)
	for i := range many {
		many[i] = addr("/ip4/10.0.0.1/tcp/" + strconv.Itoa(i+1)).Bytes()
	}
	for name, c := range map[string]struct {
		in   *wire.Signed
		want error
	}{
		"nil":                    {nil, ErrMalformed},
		"no signature":           {&wire.Signed{Body: r.Raw.Body}, ErrMalformed},
		"flipped signature":      {&wire.Signed{Body: r.Raw.Body, Signature: flipped}, ErrForged},
		"in another's name":      {sign(&wire.Addresses{Device: otherDevice[:], TimeMs: 1}, id), ErrForged},
		"no device":              {sign(&wire.Addresses{TimeMs: 1}, id), ErrMalformed},
		"no time":                {sign(&wire.Addresses{Device: ownDevice[:]}, id), ErrMalformed},
		"negative time":          {sign(&wire.Addresses{Device: ownDevice[:], TimeMs: -1}, id), ErrMalformed},
		"too many addresses":     {sign(&wire.Addresses{Device: ownDevice[:], TimeMs: 1, Addrs: many}, id), ErrMalformed},
		"address that is none":   {sign(&wire.Addresses{Device: ownDevice[:], TimeMs: 1, Addrs: [][]byte{{0xff}}}, id), ErrMalformed},
		"address that is a name": {sign(&wire.Addresses{Device: ownDevice[:], TimeMs: 1, Addrs: [][]byte{addr("/dns4/x.example/tcp/1").Bytes()}}, id), ErrMalformed},
		"oversized":              {&wire.Signed{Body: make([]byte, MaxRecordBytes+1), Signature: flipped}, ErrMalformed},
	} {
		if _, err := Open(c.in); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Sign(id, 0, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("sign without time: %v", err)
	}
	if _, err := Open(sign(&wire.Addresses{Device: ownDevice[:], TimeMs: 1}, id)); err != nil {
		t.Errorf("a device without addresses: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	id := identity(f)
	if r, err := Sign(id, 77, addrs("/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/udp/2/quic-v1")); err == nil {
		if raw, err := Encode(r); err == nil {
			f.Add(raw)
		}
	}
	f.Add([]byte{0x0a, 0x00, 0x12, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := DecodeRecord(raw)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(addr("/ip4/10.0.0.1/tcp/1").Bytes())
	f.Add(addr("/ip6/fd00::1/udp/2/quic-v1").Bytes())
	f.Add(addr("/dns4/x.example/tcp/1").Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := Decode(raw)
		if err != nil {
			return
		}
		back, err := ma.NewMultiaddr(a.String())
		if err != nil || !bytes.Equal(back.Bytes(), raw) || Check(a, false) != nil {
			t.Fatalf("%x is read as %s", raw, a)
		}
	})
}

// Of all records of a device, in any order, the newest wins, and unsigned lies never crowd it out.
func TestNewestRecordWins(t *testing.T) {
	t.Parallel()
	id := identity(t)
	records := make([]*Record, 6)
	for i := range records {
		r, err := Sign(id, int64(i+1), addrs("/ip4/10.0.0.1/tcp/"+strconv.Itoa(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		records[i] = r
	}
	rapid.Check(t, func(t *rapid.T) {
		b := NewBook(shoal.DeviceID{9})
		best := int64(0)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "lie") {
				lie := rapid.IntRange(1, 60000).Draw(t, "port")
				b.Learn(id.Device(), addrs("/ip4/6.6.6.6/tcp/"+strconv.Itoa(lie)))
				continue
			}
			r := rapid.SampledFrom(records).Draw(t, "record")
			if news := b.Accept(r); news != (r.TimeMS > best) {
				t.Fatalf("record %d after %d: news=%v", r.TimeMS, best, news)
			}
			best = max(best, r.TimeMS)
		}
		if best == 0 {
			return
		}
		known := b.Addrs(id.Device())
		want := records[best-1].Addrs[0]
		found := false
		for _, a := range known {
			found = found || a.Equal(want)
		}
		if !found || len(known) > maxTold+MaxAddrs {
			t.Fatalf("%v lacks %s", known, want)
		}
	})
}

func TestBookIsBounded(t *testing.T) {
	t.Parallel()
	b := NewBook(shoal.DeviceID{0xff, 0xff})
	for i := range maxBook + 10 {
		b.Learn(shoal.DeviceID{byte(i >> 8), byte(i), 1}, addrs("/ip4/10.0.0.1/tcp/1"))
	}
	if len(b.entries) != maxBook {
		t.Fatalf("%d entries", len(b.entries))
	}
	b.Forget(func(d shoal.DeviceID) bool { return d[1] == 7 })
	if len(b.entries) != 4 {
		t.Fatalf("%d entries after forgetting", len(b.entries))
	}
	if b.Learn(b.self, addrs("/ip4/10.0.0.1/tcp/1")) {
		t.Fatal("the book holds its own device")
	}
}

// TestGoldenRecords reads testdata/records.txt: what other versions and implementations have signed.
func TestGoldenRecords(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/records.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(file)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		lines++
		raw, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeRecord(raw)
		if want := map[string]error{"malformed": ErrMalformed, "forged": ErrForged}[f[0]]; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", f[1], err, want)
		}
		if f[0] != "valid" || err != nil {
			continue
		}
		have := []string{r.Device.String(), strconv.FormatInt(r.TimeMS, 10)}
		var list []string
		for _, a := range r.Addrs {
			list = append(list, a.String())
		}
		if len(list) > 0 {
			have = append(have, strings.Join(list, ","))
		}
		if !slices.Equal(have, f[3:]) {
			t.Errorf("%s: have %v, want %v", f[1], have, f[3:])
		}
	}
	if lines < 5 {
		t.Fatalf("%d vectors", lines)
	}
}

func FuzzParse(f *testing.F) {
	dev := shoal.DeviceID{1}
	for _, s := range []string{"", "/", "/ip4/192.168.1.2/tcp/1", "/ip4/1.2.3.4/udp/1/quic-v1", "/dns4/example.org/tcp/1", "/ip6/::1/tcp/65536", "/ip4/1.2.3.4/tcp/1/p2p/" + PeerID(dev).String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s, dev)
		if err != nil {
			return
		}
		again, err := Parse(a.String(), dev)
		if err != nil || !again.Equal(a) || Check(a, true) != nil {
			t.Fatalf("%q is read as %v, which is read as %v, %v", s, a, again, err)
		}
	})
}
