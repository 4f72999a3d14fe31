package conflict

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

func free(string) bool { return false }

// takenBy returns a taken function for a set of names.
func takenBy(names map[string]bool) func(string) bool {
	return func(s string) bool { return names[s] }
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type copyCase struct {
	about, name, device, want string
	at                        time.Time
	digest                    [32]byte
	taken                     map[string]bool
}

func readCopyCases(t *testing.T) []copyCase {
	t.Helper()
	raw, err := os.ReadFile("testdata/copynames.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []copyCase
	for block := range strings.SplitSeq(string(raw), "\n\n") {
		c := copyCase{taken: map[string]bool{}}
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			key, value, ok := strings.Cut(line, ": ")
			if !ok {
				t.Fatalf("line %q has no value", line)
			}
			c.set(t, key, value)
		}
		if c.about != "" {
			out = append(out, c)
		}
	}
	return out
}

func (c *copyCase) set(t *testing.T, key, value string) {
	t.Helper()
	var err error
	switch key {
	case "about":
		c.about = value
	case "name":
		c.name, err = strconv.Unquote(value)
	case "device":
		c.device = value
	case "time":
		c.at, err = time.Parse(time.RFC3339Nano, value)
	case "digest":
		_, err = hex.Decode(c.digest[:], []byte(value))
	case "taken":
		var name string
		name, err = strconv.Unquote(value)
		c.taken[name] = true
	case "want":
		c.want, err = strconv.Unquote(value)
	default:
		t.Fatalf("unknown key %q", key)
	}
	if err != nil {
		t.Fatalf("%s: %s: %v", c.about, key, err)
	}
}

func TestCopyNameGoldenVectors(t *testing.T) {
	cases := readCopyCases(t)
	if len(cases) < 20 {
		t.Fatalf("only %d cases were read", len(cases))
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			if got := CopyName(c.name, c.device, c.at, c.digest, takenBy(c.taken)); got != c.want {
				t.Errorf("\n got %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestLongNamesAreCutBetweenCharacters(t *testing.T) {
	const tail = " (conflict laptop 2026-11-22 12.00.00 0000).txt"
	for _, tt := range []struct{ name, stem, kept string }{
		{"one byte each", strings.Repeat("a", 251), strings.Repeat("a", 255-len(tail))},
		{"two bytes each", strings.Repeat("é", 125), strings.Repeat("é", (255-len(tail))/2)},
		{"three bytes each", strings.Repeat("語", 83), strings.Repeat("語", (255-len(tail))/3)},
		{"four bytes each", strings.Repeat("🐟", 62), strings.Repeat("🐟", (255-len(tail))/4)},
		{"not UTF-8: bytes", strings.Repeat("\xe9", 251), strings.Repeat("\xe9", 255-len(tail))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := CopyName(tt.stem+".txt", "laptop", noon, [32]byte{}, free), tt.kept+tail; got != want {
				t.Errorf("\n got %q\nwant %q", got, want)
			}
		})
	}
}

func TestWhenAllDigitsAreTakenANumberFollows(t *testing.T) {
	names := map[string]bool{}
	for range 80 {
		got := CopyName("a.txt", "laptop", noon, [32]byte{1}, takenBy(names))
		if names[got] {
			t.Fatalf("%q is taken", got)
		}
		names[got] = true
	}
	full := "a (conflict laptop 2026-11-22 12.00.00 01" + strings.Repeat("0", 62)
	for _, want := range []string{full + ").txt", full + "-2).txt", full + "-3).txt", full + "-20).txt"} {
		if !names[want] {
			t.Errorf("%q was not given out", want)
		}
	}
}

// checkCopyName holds the laws of one name.
func checkCopyName(t interface{ Fatalf(string, ...any) }, name, device, got string) {
	if err := shoal.Path(got).Validate(); err != nil || strings.Contains(got, "/") {
		t.Fatalf("copy of %q is %q: %v", name, got, err)
	}
	if utf8.ValidString(name) && !utf8.ValidString(got) {
		t.Fatalf("copy of %q is %q, not UTF-8", name, got)
	}
	if got == name {
		t.Fatalf("%q is a copy of itself", name)
	}
	rest, stem := name, got[:strings.LastIndex(got, " (conflict ")]
	if !strings.HasPrefix(rest, stem) || len(stem) < min(100, len(rest)-1-maxExtensionBytes) {
		t.Fatalf("copy of %q begins with %q", name, stem)
	}
	if d := copyDevice(device); len(d) == 0 || len(d) > maxDeviceBytes || strings.ContainsFunc(d, func(r rune) bool { return !isPlain(r) }) {
		t.Fatalf("device %q becomes %q", device, d)
	}
}

func TestCopyNamesAreValidAndDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.StringN(1, 80, 255),
			rapid.StringOfN(rapid.RuneFrom([]rune("aé語🐟. ")), 1, 255, 255),
		).Filter(func(s string) bool { return shoal.Path(s).Validate() == nil && !strings.Contains(s, "/") }).Draw(t, "name")
		device := rapid.String().Draw(t, "device")
		at := time.Unix(0, rapid.Int64().Draw(t, "time"))
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		got := CopyName(name, device, at, digest, free)
		checkCopyName(t, name, device, got)
		if again := CopyName(name, device, at.In(time.FixedZone("east", 3600)), digest, free); again != got {
			t.Fatalf("%q, then %q", got, again)
		}
	})
}

func TestCopiesWithDifferentDigestsHaveDifferentNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few bytes, so that the first digits often agree.
		digests := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.ByteRange(0, 1), 32, 32), 2, 6, func(b []byte) string { return string(b) }).Draw(t, "digests")
		names := map[string]bool{}
		for _, d := range digests {
			got := CopyName("a.txt", "laptop", noon, [32]byte(d), takenBy(names))
			if names[got] {
				t.Fatalf("%q twice", got)
			}
			names[got] = true
			digits := hex.EncodeToString(d)
			mark := strings.TrimSuffix(got[strings.LastIndexByte(got, ' ')+1:], ").txt")
			if len(mark) < minDigestDigits || !strings.HasPrefix(digits, mark) {
				t.Fatalf("%q does not show the digest %s", got, digits)
			}
		}
	})
}

func FuzzCopyName(f *testing.F) {
	f.Add("report.txt", "laptop", int64(0), []byte{0xa1, 0xb2}, uint8(0))
	f.Add(".bashrc", "Jürgen's Mac", int64(-1), []byte{}, uint8(3))
	f.Add(strings.Repeat("語", 85), "", int64(1<<62), []byte{0xff}, uint8(70))
	f.Add("caf\xe9.t\xe9", "\xff/\x00", int64(1e18), []byte{1}, uint8(61))
	f.Fuzz(func(t *testing.T, name, device string, ns int64, raw []byte, taken uint8) {
		if shoal.Path(name).Validate() != nil || strings.Contains(name, "/") {
			t.Skip("not a name")
		}
		var digest [32]byte
		copy(digest[:], raw)
		names := map[string]bool{}
		for range taken%70 + 1 {
			got := CopyName(name, device, time.Unix(0, ns), digest, takenBy(names))
			checkCopyName(t, name, device, got)
			if names[got] {
				t.Fatalf("%q is taken", got)
			}
			names[got] = true
		}
	})
}
