package rendezvous

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func sealed(t testing.TB, id *mesh.Identity, secret Secret, s Sighting) (Key, []byte) {
	t.Helper()
	if s.TimeMS == 0 {
		s.TimeMS = noon.UnixMilli()
	}
	k := NewKey(secret, id.Device(), DayOf(noon))
	raw, err := Seal(id, k, s, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k, raw
}

func TestARecordOpensAsItWasSealed(t *testing.T) {
	t.Parallel()
	id := identity(t)
	rapid.Check(t, func(t *rapid.T) {
		want := Sighting{Device: id.Device(), TimeMS: noon.UnixMilli() + int64(rapid.IntRange(-1000, 1000).Draw(t, "time")), Note: rapid.SliceOfN(rapid.Byte(), 0, MaxNote).Draw(t, "note")}
		for i := range rapid.IntRange(0, MaxAddrs).Draw(t, "addresses") {
			want.Addrs = append(want.Addrs, ma.StringCast("/ip4/192.0.2.1/tcp/"+strconv.Itoa(i+1)))
		}
		k := NewKey(Secret(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret")), id.Device(), DayOf(noon))
		raw, err := Seal(id, k, want, rand.Reader)
		if err != nil || len(raw) != RecordBytes {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		if err := (validator{func() time.Time { return noon }}).Validate(k.Name.Path(), raw); err != nil {
			t.Fatal(err)
		}
		got, err := Open(k, raw)
		if err != nil || got.Device != want.Device || got.TimeMS != want.TimeMS || !bytes.Equal(got.Note, want.Note) || len(got.Addrs) != len(want.Addrs) {
			t.Fatalf("%+v, %v", got, err)
		}
		at := rapid.IntRange(0, RecordBytes-1).Draw(t, "flip")
		raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := Open(k, raw); err == nil {
			t.Fatalf("opens with byte %d altered", at)
		}
	})
}

func TestAddressesThatDoNotFitAreLeftOutTheLastFirst(t *testing.T) {
	t.Parallel()
	id := identity(t)
	relay := identity(t).Device()
	s := Sighting{Note: make([]byte, MaxNote)}
	for i := range MaxAddrs {
		s.Addrs = append(s.Addrs, ma.StringCast("/ip6/2001:db8::1/udp/"+strconv.Itoa(i+1)+"/quic-v1/p2p/"+relay.String()+"/p2p-circuit"))
	}
	k, raw := sealed(t, id, Secret{1}, s)
	got, err := Open(k, raw)
	if err != nil || len(got.Addrs) < 6 || len(got.Addrs) == MaxAddrs || !got.Addrs[0].Equal(s.Addrs[0]) {
		t.Fatalf("%d addresses, %v", len(got.Addrs), err)
	}
	if _, err := Seal(id, k, Sighting{TimeMS: noon.UnixMilli(), Note: make([]byte, MaxNote+1)}, rand.Reader); !errors.Is(err, ErrMalformed) {
		t.Fatalf("a note that is too long: %v", err)
	}
}

func TestNamesOfADeviceDifferByDaySecretAndDevice(t *testing.T) {
	t.Parallel()
	a, b := identity(t).Device(), identity(t).Device()
	seen := map[Name]bool{}
	for _, secret := range []Secret{{1}, {2}} {
		for _, dev := range []shoal.DeviceID{a, b} {
			for day := range Day(3) {
				seen[NewKey(secret, dev, day).Name] = true
			}
		}
	}
	if len(seen) != 12 {
		t.Fatalf("%d names", len(seen))
	}
	if !seen[NewKey(Secret{1}, a, 1).Name] {
		t.Fatal("a name is not always the same")
	}
}

// Nothing of a record is the same as in another, but the version, the day and the high bytes of the time.
func TestTwoRecordsOfADeviceHaveNothingInCommon(t *testing.T) {
	t.Parallel()
	id := identity(t)
	k, x := sealed(t, id, Secret{1}, Sighting{Note: []byte("same")})
	_, y := sealed(t, id, Secret{1}, Sighting{Note: []byte("same")})
	if bytes.Contains(x, []byte("same")) || bytes.Contains(x, k.Device[:]) {
		t.Fatal("the record tells what it holds")
	}
	equal := 0
	for i := atNonce; i < RecordBytes; i++ {
		if x[i] == y[i] {
			equal++
		}
	}
	if equal > 40 { // 8 by chance
		t.Fatalf("%d bytes are equal", equal)
	}
}

func TestAMemberCannotSpeakForAnother(t *testing.T) {
	t.Parallel()
	victim, liar := identity(t), identity(t)
	k := NewKey(Secret{1}, victim.Device(), DayOf(noon))
	// The liar has the secret, so it can sign and seal for the victim's name, with its own sighting or an old one of the victim.
	if _, err := Seal(liar, k, Sighting{TimeMS: noon.UnixMilli()}, rand.Reader); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	own := k
	own.Device = liar.Device()
	raw, err := Seal(liar, own, Sighting{TimeMS: noon.UnixMilli()}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(k, raw); !errors.Is(err, ErrForged) {
		t.Fatalf("a sighting by another device: %v", err)
	}
	yesterday := NewKey(Secret{1}, victim.Device(), DayOf(noon)-1)
	moved := k
	moved.Name, moved.sign, moved.seal = yesterday.Name, yesterday.sign, yesterday.seal
	raw, err = Seal(victim, moved, Sighting{TimeMS: noon.UnixMilli()}, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(k, raw); err == nil {
		t.Fatal("a record opens at another name")
	}
}

func TestStrangersCheckSizeDayTimeAndSignature(t *testing.T) {
	t.Parallel()
	id := identity(t)
	k, good := sealed(t, id, Secret{1}, Sighting{})
	resign := func(change func([]byte)) []byte {
		r := bytes.Clone(good[:atSignature])
		change(r)
		return append(r, ed25519.Sign(k.sign, append([]byte(recordPrefix), r...))...)
	}
	other := NewKey(Secret{2}, id.Device(), k.Day)
	for name, c := range map[string]struct {
		path string
		raw  []byte
		now  time.Time
		want error
	}{
		"good":               {k.Name.Path(), good, noon, nil},
		"tomorrow":           {k.Name.Path(), good, noon.Add(24 * time.Hour), nil},
		"a clock behind":     {k.Name.Path(), good, noon.Add(-24 * time.Hour), nil},
		"after two days":     {k.Name.Path(), good, noon.Add(48 * time.Hour), ErrStale},
		"two days too early": {k.Name.Path(), good, noon.Add(-48 * time.Hour), ErrStale},
		"too short":          {k.Name.Path(), good[:RecordBytes-1], noon, ErrMalformed},
		"too long":           {k.Name.Path(), append(bytes.Clone(good), 0), noon, ErrMalformed},
		"empty":              {k.Name.Path(), nil, noon, ErrMalformed},
		"another version":    {k.Name.Path(), resign(func(r []byte) { r[0] = 2 }), noon, ErrMalformed},
		"a time in 100 days": {k.Name.Path(), resign(func(r []byte) { r[atTime+2]++ }), noon, ErrMalformed},
		"the last time":      {k.Name.Path(), resign(func(r []byte) { r[atTime] = 0xff }), noon, ErrMalformed},
		"another name":       {other.Name.Path(), good, noon, ErrForged},
		"altered":            {k.Name.Path(), append(bytes.Clone(good[:RecordBytes-1]), good[RecordBytes-1]^1), noon, ErrForged},
		"no name":            {"/shoal/", good, noon, ErrMalformed},
		"a foreign name":     {"/pk/" + string(k.Name[:]), good, noon, ErrMalformed},
	} {
		if err := (validator{func() time.Time { return c.now }}).Validate(c.path, c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestOfTwoRecordsTheNewerIsSelected(t *testing.T) {
	t.Parallel()
	id := identity(t)
	_, old := sealed(t, id, Secret{1}, Sighting{})
	_, young := sealed(t, id, Secret{1}, Sighting{TimeMS: noon.UnixMilli() + 1})
	for _, list := range [][][]byte{{old, young}, {young, old}, {nil, old, young, {1}}} {
		i, err := validator{}.Select("", list)
		if err != nil || !bytes.Equal(list[i], young) {
			t.Fatalf("%d, %v", i, err)
		}
	}
	if _, err := (validator{}).Select("", [][]byte{nil}); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}

// TestGoldenRendezvousRecords reads testdata/rendezvous.txt.
func TestGoldenRendezvousRecords(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/rendezvous.txt")
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
		secret, _ := hex.DecodeString(f[2])
		dev, err := shoal.ParseDeviceID(f[3])
		if err != nil || len(secret) != 32 {
			t.Fatal(err)
		}
		day, _ := strconv.Atoi(f[4])
		k := NewKey(Secret(secret), dev, Day(day))
		if hex.EncodeToString(k.Name[:]) != f[5] {
			t.Errorf("%s: name %x", f[1], k.Name)
		}
		raw, err := hex.DecodeString(f[6])
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(k, raw)
		if want := map[string]error{"malformed": ErrMalformed, "forged": ErrForged, "stale": ErrStale}[f[0]]; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", f[1], err, want)
		}
		if f[0] == "valid" && (err != nil || strconv.FormatInt(s.TimeMS, 10) != f[7] || s.Addrs[0].String() != f[8] || string(s.Note) != f[9]) {
			t.Errorf("%s: %+v", f[1], s)
		}
	}
	if lines < 5 {
		t.Fatalf("%d vectors", lines)
	}
}

func FuzzOpen(f *testing.F) {
	id := identity(f)
	k, raw := sealed(f, id, Secret{1}, Sighting{Note: []byte("note")})
	f.Add(raw[atSealed:atSignature], []byte{})
	f.Add([]byte{}, raw)
	f.Fuzz(func(t *testing.T, sighting, record []byte) {
		// What anybody can send.
		if _, err := Open(k, record); err == nil && !bytes.Equal(record, raw) {
			t.Fatal("a forged record opens")
		}
		_, _ = ParsePath(string(record))
		_ = validator{func() time.Time { return noon }}.Validate(k.Name.Path(), record)
		// What a member can put inside.
		if s, err := openSighting(k, sighting); err == nil {
			t.Fatalf("a forged sighting opens: %+v", s)
		}
	})
}
