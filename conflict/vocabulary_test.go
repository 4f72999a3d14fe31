package conflict

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
)

// The words in which the tests of this package are written. A dot is a letter and a number: "B2" is the second record of
// journal B. A content is a short text. Records are made by what the user did:
//
//	file("B2", "new", saw("A1"), instead("old"))   B saved "new" over "old", having seen A1
//	chmod("C1", 0o600, of("old", "A1"))            C saw A1's "old" and changed its mode
//	remove("D1", saw("A1"), instead("old"))        D saw A1's "old" and deleted it

// journal returns the journal with this letter. All are of one device, so that any may continue any other.
func journal(letter byte) shoal.JournalID {
	return shoal.JournalID{Device: shoal.DeviceID{1}, Nonce: uint64(letter)}
}

// dot parses "B2"; "" is the zero dot.
func dot(s string) shoal.Dot {
	if s == "" {
		return shoal.Dot{}
	}
	n, err := strconv.ParseUint(s[1:], 10, 64)
	if err != nil {
		panic(err)
	}
	return shoal.Dot{Journal: journal(s[0]), Seq: shoal.Seq(n)}
}

// dotName is the inverse of dot.
func dotName(d shoal.Dot) string {
	if d.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%c%d", d.Journal.Nonce, d.Seq)
}

func dotNames(dots []shoal.Dot) string {
	names := make([]string, len(dots))
	for i, d := range dots {
		names[i] = dotName(d)
	}
	return strings.Join(names, " ")
}

// version parses "A1 B2" in any order.
func version(s string) Version {
	var v Version
	for _, f := range strings.Fields(s) {
		v = v.With(dot(f))
	}
	return v
}

// lineage parses links "K<J5": journal K continues J up to 5.
func lineage(links ...string) Lineage {
	l := Lineage{}
	for _, s := range links {
		l[journal(s[0])] = dot(s[2:])
	}
	return l
}

// content returns the content ID that stands for a text of at most 32 bytes.
func content(text string) (c [32]byte) {
	copy(c[:], text)
	return c
}

func contentText(c [32]byte) string { return strings.TrimRight(string(c[:]), "\x00") }

type detail func(*Sibling)

func record(name string, kind shoal.Kind, text string, details []detail) Sibling {
	s := Sibling{Record: dot(name), Kind: kind, Content: content(text), Mode: 0o644, Time: 100, MTime: 100}
	for _, d := range details {
		d(&s)
	}
	s.Version = s.Version.With(s.Record)
	return s
}

func file(name, text string, details ...detail) Sibling {
	return record(name, shoal.KindFile, text, details)
}

func symlink(name, target string, details ...detail) Sibling {
	return record(name, shoal.KindSymlink, target, details)
}

func folder(name string, details ...detail) Sibling {
	s := record(name, shoal.KindFolder, "", append([]detail{mode(0o755)}, details...))
	s.MTime = 0
	return s
}

func remove(name string, details ...detail) Sibling {
	s := record(name, shoal.KindTombstone, "", details)
	s.Mode, s.MTime = 0, 0
	return s
}

// chmod changes the mode of a file; say which with of.
func chmod(name string, bits uint32, details ...detail) Sibling {
	return record(name, shoal.KindFile, "", append(details, mode(bits), func(s *Sibling) { s.ModeFrom = shoal.Dot{} }))
}

// touch changes the mtime of a file; say which with of.
func touch(name string, mtime int64, details ...detail) Sibling {
	return record(name, shoal.KindFile, "", append(details, func(s *Sibling) { s.MTime = mtime }))
}

// saw says what its author's disk had shown at the path.
func saw(v string) detail { return func(s *Sibling) { s.Version = Join(s.Version, version(v)) } }

// of says that the record keeps the content that record from brought, and its mode.
func of(text, from string) detail {
	return func(s *Sibling) {
		s.Content, s.ContentFrom, s.ModeFrom = content(text), dot(from), dot(from)
		s.Version = Join(s.Version, version(from))
	}
}

func instead(text string) detail     { return func(s *Sibling) { s.Replaced = content(text) } }
func at(time int64) detail           { return func(s *Sibling) { s.Time, s.MTime = time, time } }
func mode(bits uint32) detail        { return func(s *Sibling) { s.Mode = bits } }
func modeFrom(name string) detail    { return func(s *Sibling) { s.ModeFrom = dot(name) } }
func mtime(ns int64) detail          { return func(s *Sibling) { s.MTime = ns } }
func from(name string) detail        { return func(s *Sibling) { s.ContentFrom = dot(name) } }
func exactly(v string) detail        { return func(s *Sibling) { s.Version = version(v) } }
func records(s ...Sibling) []Sibling { return s }

// say renders what is shown: "file new by B2".
func say(s *Shown) string {
	if s == nil {
		return "nothing"
	}
	out := s.Kind.String()
	if s.Content != [32]byte{} {
		out += " " + contentText(s.Content)
	}
	return out + " by " + dotName(s.Record)
}

// sayAll renders a resolution: the winner, then " beside " the losers, then " deleted by " the tombstones.
func sayAll(r Resolution) string {
	out := say(r.Winner)
	for i := range r.Losers {
		if i == 0 {
			out += " beside "
		} else {
			out += ", "
		}
		out += say(&r.Losers[i])
	}
	if len(r.Tombstones) > 0 {
		out += "; deleted by " + dotNames(r.Tombstones)
	}
	return out
}

// permutations calls f with every order of s, or with 24 of them when there are more.
func permutations(s []Sibling, f func([]Sibling)) {
	left := 24
	var walk func(k int)
	walk = func(k int) {
		if left == 0 {
			return
		}
		if k == len(s) {
			left--
			f(s)
			return
		}
		for i := k; i < len(s); i++ {
			s[k], s[i] = s[i], s[k]
			walk(k + 1)
			s[k], s[i] = s[i], s[k]
		}
	}
	walk(0)
}

func wantVersion(t *testing.T, got Version, want string) {
	t.Helper()
	if !got.Equal(version(want)) {
		t.Errorf("version is %s, want %s", dotNames(got), want)
	}
}
