package p2p

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

func framed(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteFrame(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMessagesOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	mac, mesh32 := make([]byte, 32), make([]byte, 32)
	begin := func(b *wire.Begin) *wire.Pair { return &wire.Pair{Kind: &wire.Pair_Begin{Begin: b}} }
	offer := func(o *wire.Offer) *wire.Pair { return &wire.Pair{Kind: &wire.Pair_Offer{Offer: o}} }
	for name, c := range map[string]struct {
		m    *wire.Pair
		good bool
	}{
		"ticket":              {begin(&wire.Begin{Invite: make([]byte, 16)}), true},
		"code":                {begin(&wire.Begin{Nameplate: 9999, Pake: make([]byte, 48)}), true},
		"neither":             {begin(&wire.Begin{}), false},
		"both":                {begin(&wire.Begin{Invite: make([]byte, 16), Nameplate: 7, Pake: make([]byte, 48)}), false},
		"nameplate too large": {begin(&wire.Begin{Nameplate: 10000, Pake: make([]byte, 48)}), false},
		"code without pake":   {begin(&wire.Begin{Nameplate: 7}), false},
		"pake too long":       {begin(&wire.Begin{Nameplate: 7, Pake: make([]byte, 65)}), false},
		"offer":               {offer(&wire.Offer{Mesh: mesh32, Role: 1}), true},
		"offer of role 0":     {offer(&wire.Offer{Mesh: mesh32}), false},
		"offer of role 257":   {offer(&wire.Offer{Mesh: mesh32, Role: 257}), false},
		"offer without mesh":  {offer(&wire.Offer{Role: 1}), false},
		"proof":               {&wire.Pair{Kind: &wire.Pair_Proof{Proof: &wire.Proof{Confirmation: mac}}}, true},
		"short proof":         {&wire.Pair{Kind: &wire.Pair_Proof{Proof: &wire.Proof{Confirmation: mac[1:]}}}, false},
		"short accept":        {&wire.Pair{Kind: &wire.Pair_Accept{Accept: &wire.Accept{}}}, false},
	} {
		_, err := receivePair(bytes.NewReader(framed(t, c.m)), maxPairFrame)
		if c.good && err != nil || !c.good && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]*wire.Link{
		"hello":   {Kind: &wire.Link_Hello{Hello: &wire.Hello{}}},
		"verdict": {Kind: &wire.Link_Verdict{Verdict: &wire.Verdict{Answer: 99}}},
	} {
		if _, err := receiveLink(bytes.NewReader(framed(t, m))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryRefusalHasItsOwnError(t *testing.T) {
	t.Parallel()
	seen := make(map[string]wire.Reason)
	for n := range wire.Reason_name {
		r := wire.Reason(n)
		if r == wire.Reason_REASON_UNSPECIFIED {
			continue
		}
		_, err := receivePair(bytes.NewReader(framed(t, &wire.Pair{Kind: &wire.Pair_Refusal{Refusal: &wire.Refusal{Reason: r}}})), maxPairFrame)
		if err == nil || refusals[r] == nil || !errors.Is(err, refusals[r]) {
			t.Errorf("%v: %v", r, err)
			continue
		}
		if other, twice := seen[err.Error()]; twice {
			t.Errorf("%v and %v say the same", r, other)
		}
		seen[err.Error()] = r
	}
	if err := refusalError(99); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("a reason of a later version: %v", err)
	}
}

func FuzzReceiveLink(f *testing.F) {
	f.Add(framed(f, &wire.Link{Kind: &wire.Link_Hello{Hello: &wire.Hello{Run: 7}}}))
	f.Add(framed(f, &wire.Link{Kind: &wire.Link_Addresses{Addresses: &wire.Signed{Body: []byte{1}, Signature: make([]byte, 64)}}}))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := receiveLink(bytes.NewReader(raw))
		if err == nil && validateLink(m) != nil {
			t.Fatalf("%v is accepted", m)
		}
	})
}

func FuzzReceivePair(f *testing.F) {
	f.Add(framed(f, &wire.Pair{Kind: &wire.Pair_Begin{Begin: &wire.Begin{Nameplate: 7, Pake: make([]byte, 48)}}}))
	f.Add(framed(f, &wire.Pair{Kind: &wire.Pair_Welcome{Welcome: &wire.Welcome{Welcome: []byte("x")}}}))
	f.Add(framed(f, &wire.Pair{Kind: &wire.Pair_Refusal{Refusal: &wire.Refusal{Reason: 1}}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := receivePair(bytes.NewReader(raw), maxPairFrame)
		if err == nil && (validatePair(m) != nil || m.GetRefusal() != nil) {
			t.Fatalf("%v is accepted", m)
		}
	})
}

// FuzzGuestInfo: what a guest says of itself is shown to people.
func FuzzGuestInfo(f *testing.F) {
	for _, g := range []*wire.Guest{{}, {Name: "ann", Hpke: []byte{1}}, {Name: "a\u202eb", Hpke: make([]byte, 5000)}} {
		raw, err := proto.Marshal(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var info wire.Guest
		if proto.Unmarshal(raw, &info) != nil {
			return
		}
		g := Guest{Name: info.Name, HPKE: info.Hpke}
		if g.validateSelf() == nil && (len(g.Name) > maxGuestName || len(g.HPKE) > maxGuestHPKE || strings.ContainsAny(g.Name, "\n\x1b\u202e\u200b")) {
			t.Fatalf("%q is accepted", g.Name)
		}
	})
}
