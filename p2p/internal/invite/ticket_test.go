package invite

import (
	"bufio"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

func someTicket(t *rapid.T) Ticket {
	tk := Ticket{
		Role:    rapid.SampledFrom([]mesh.Role{mesh.RoleOwner, mesh.RoleMember, mesh.RoleReader, mesh.RoleVault}).Draw(t, "role"),
		Expires: time.Unix(rapid.Int64Range(1, 1<<40).Draw(t, "expires"), 0),
		Addrs:   rapid.SliceOfN(rapid.SampledFrom([]string{"/ip4/10.0.0.1/tcp/4001", "/ip6/fd00::1/udp/4001/quic-v1"}), 0, MaxAddrs).Draw(t, "addrs"),
	}
	fill := func(dst []byte, what string) {
		copy(dst, rapid.SliceOfN(rapid.Byte(), len(dst), len(dst)).Draw(t, what))
	}
	fill(tk.Inviter[:], "inviter")
	fill(tk.Mesh[:], "mesh")
	fill(tk.Secret[:], "secret")
	tk.Inviter[0] |= 1
	tk.Mesh[0] |= 1
	return tk
}

func TestTicketsSurviveTypingAndMistypedOnesAreRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tk := someTicket(t)
		text, err := tk.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for _, typed := range []string{text, strings.ToUpper(text), " " + text + "\r\n"} {
			got, err := ParseTicket(typed)
			if err != nil || got.Inviter != tk.Inviter || got.Mesh != tk.Mesh || got.Role != tk.Role || !got.Expires.Equal(tk.Expires) ||
				got.Secret != tk.Secret || strings.Join(got.Addrs, " ") != strings.Join(tk.Addrs, " ") {
				t.Fatalf("%+v, %v", got, err)
			}
		}
		at := rapid.IntRange(0, len(text)-1).Draw(t, "typo at")
		c := rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz234567-01")).Draw(t, "typo")
		if text[at] != c {
			if _, err := ParseTicket(text[:at] + string(c) + text[at+1:]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("typo at %d: %v", at, err)
			}
		}
		if _, err := ParseTicket(text[:at]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", at, err)
		}
	})
}

func TestCodesSurviveTyping(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"7-abandon-ability", "7 abandon ability", " 7-Abandon  ABILITY\n"} {
		if c, err := ParseCode(typed); err != nil || c.String() != "7-abandon-ability" {
			t.Errorf("%q: %v, %v", typed, c, err)
		}
	}
	for _, typed := range []string{"", "7", "7-abandon", "7-abandon-ability-able", "0-abandon-ability", "10000-abandon-ability", "-7-abandon-abilty", "7-abandon-xyz", "a-b-c", strings.Repeat("7", 101)} {
		if _, err := ParseCode(typed); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	tk := Ticket{Secret: Secret{0xab, 0xcd}}
	for _, format := range []string{"%v", "%+v", "%s"} {
		if s := sprintf(format, tk); strings.Contains(s, "171") || strings.Contains(s, "abcd") {
			t.Errorf("%s shows the secret: %s", format, s)
		}
	}
}

// TestGoldenTickets reads testdata/tickets.txt: what other versions and implementations have written.
func TestGoldenTickets(t *testing.T) {
	t.Parallel()
	forEachLine(t, "testdata/tickets.txt", func(t *testing.T, f []string) {
		got, err := ParseTicket(f[2])
		if f[0] == "malformed" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v, want ErrMalformed", f[1], err)
			}
			return
		}
		if err != nil {
			t.Errorf("%s: %v", f[1], err)
			return
		}
		want := f[3:]
		have := []string{got.Inviter.String(), got.Mesh.String(), got.Role.String(), got.Expires.UTC().Format(time.RFC3339), hex.EncodeToString(got.Secret[:]), strings.Join(got.Addrs, ",")}
		if strings.TrimSpace(strings.Join(have, " ")) != strings.Join(want, " ") {
			t.Errorf("%s:\n have %v\n want %v", f[1], have, want)
		}
		if again, err := got.Encode(); err != nil || again != f[2] {
			t.Errorf("%s: is written as %s, %v", f[1], again, err)
		}
	})
}

// forEachLine hands the fields of each line that is no comment to f.
func forEachLine(t *testing.T, path string, f func(*testing.T, []string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		if line := s.Text(); line != "" && !strings.HasPrefix(line, "#") {
			lines++
			f(t, strings.Fields(line))
		}
	}
	if lines == 0 {
		t.Fatalf("%s is empty", path)
	}
}

func FuzzParseTicket(f *testing.F) {
	tk := Ticket{Inviter: shoal.DeviceID{1}, Mesh: shoal.MeshID{2}, Role: mesh.RoleMember, Expires: time.Unix(9, 0), Addrs: []string{"/ip4/10.0.0.1/tcp/1"}}
	if text, err := tk.Encode(); err == nil {
		f.Add(text)
	}
	f.Add("shoal1")
	f.Add("shoal1aaaa")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTicket(text)
		if err != nil {
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzParseCode(f *testing.F) {
	f.Add("7-abandon-ability")
	f.Add("  9999 zoo zoo")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCode(text)
		if err != nil {
			return
		}
		if again, err := ParseCode(c.String()); err != nil || again != c {
			t.Fatalf("%q is read as %s", text, c)
		}
	})
}
