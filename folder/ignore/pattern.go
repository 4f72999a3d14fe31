package ignore

import "strings"

// segment is what stands between two slashes of a pattern. The zero value matches no name.
type segment struct {
	any    bool // "**": any number of names
	fixed  bool // literal alone
	suffix bool // "*" and then literal
	// literal is for those two, which most patterns are; elems for all others.
	literal string
	elems   []elem
}

// elem matches one byte, or any number if it is a star.
type elem struct {
	star bool
	set  byteSet
}

// byteSet is a set of bytes. '/' is in none: it stands between segments.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b/64] |= 1 << (b % 64) }
func (s *byteSet) has(b byte) bool { return s[b/64]&(1<<(b%64)) != 0 }

func (s *byteSet) addRange(from, to byte) {
	for b := int(from); b <= int(to); b++ {
		s.add(byte(b))
	}
}

func (s *byteSet) invert() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// parseSegments reads a pattern without "!", and without the slashes at its ends.
func parseSegments(text string) ([]segment, error) {
	var segments []segment
	var elems []elem
	start := 0 // where the segment began
	finish := func(end int) {
		segments = append(segments, newSegment(text[start:end], elems))
		elems = nil
	}
	for i := 0; i < len(text); {
		var set byteSet
		switch c := text[i]; c {
		case '/':
			finish(i)
			i++
			start = i
			continue
		case '*':
			elems = append(elems, elem{star: true})
			i++
			continue
		case '?':
			set.invert()
			i++
		case '[':
			n, err := parseSet(text[i:], &set)
			if err != nil {
				return nil, err
			}
			i += n
		case '\\':
			i++
			if i == len(text) {
				return nil, ErrBackslash
			}
			if text[i] == '/' { // a slash stays a slash
				finish(i - 1)
				i++
				start = i
				continue
			}
			set.add(text[i])
			i++
		default:
			set.add(c)
			i++
		}
		elems = append(elems, elem{set: set})
	}
	finish(len(text))
	return segments, nil
}

// newSegment makes a segment of its text and its elements.
func newSegment(text string, elems []elem) segment {
	if len(text) >= 2 && strings.Trim(text, "*") == "" {
		return segment{any: true}
	}
	var literal []byte
	for _, e := range elems {
		if b, ok := e.single(); ok {
			literal = append(literal, b)
		}
	}
	switch {
	case len(literal) == len(elems):
		return segment{fixed: true, literal: string(literal)}
	case elems[0].star && len(literal) == len(elems)-1:
		return segment{suffix: true, literal: string(literal)}
	}
	return segment{elems: elems}
}

// single returns the one byte that e matches.
func (e elem) single() (b byte, ok bool) {
	if e.star {
		return 0, false
	}
	n := 0
	for c := range 256 {
		if e.set.has(byte(c)) {
			b = byte(c)
			n++
		}
	}
	return b, n == 1
}

// classes are POSIX's, in the C locale (isalpha(3) and its kin).
var classes = map[string]func(byte) bool{
	"alpha":  isAlpha,
	"digit":  isDigit,
	"alnum":  func(b byte) bool { return isAlpha(b) || isDigit(b) },
	"upper":  func(b byte) bool { return b >= 'A' && b <= 'Z' },
	"lower":  func(b byte) bool { return b >= 'a' && b <= 'z' },
	"blank":  func(b byte) bool { return b == ' ' || b == '\t' },
	"space":  func(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' },
	"cntrl":  func(b byte) bool { return b < ' ' || b == 0x7f },
	"print":  func(b byte) bool { return b >= ' ' && b < 0x7f },
	"graph":  func(b byte) bool { return b > ' ' && b < 0x7f },
	"punct":  func(b byte) bool { return b > ' ' && b < 0x7f && !isAlpha(b) && !isDigit(b) },
	"xdigit": func(b byte) bool { return isDigit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' },
}

func isAlpha(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// parseSet reads "[…]" at the beginning of text into set and returns how long it is.
func parseSet(text string, set *byteSet) (n int, err error) {
	i := 1
	negated := i < len(text) && (text[i] == '!' || text[i] == '^')
	if negated {
		i++
	}
	for first := true; ; first = false {
		if i >= len(text) {
			return 0, ErrBracket
		}
		if text[i] == ']' && !first {
			break
		}
		n, err := parseMember(text[i:], set)
		if err != nil {
			return 0, err
		}
		i += n
	}
	if negated {
		set.invert()
	}
	return i + 1, nil
}

// parseMember reads one byte, range or class of a set.
func parseMember(text string, set *byteSet) (n int, err error) {
	if strings.HasPrefix(text, "[:") {
		// As in git: up to the next ']', and only if a ':' stands before it; "[[:x]" is a set of '[', ':' and 'x'.
		end := strings.IndexByte(text[2:], ']')
		if end < 0 {
			return 0, ErrBracket
		}
		if name, ok := strings.CutSuffix(text[2:2+end], ":"); ok {
			class := classes[name]
			if class == nil {
				return 0, ErrBracket
			}
			for b := range 256 {
				if class(byte(b)) {
					set.add(byte(b))
				}
			}
			return 2 + end + 1, nil
		}
	}
	from, n, err := parseByte(text)
	if err != nil {
		return 0, err
	}
	if len(text) > n+1 && text[n] == '-' && text[n+1] != ']' {
		to, m, err := parseByte(text[n+1:])
		if err != nil {
			return 0, err
		}
		set.add(from) // also of "[z-a]", as in git
		set.addRange(from, to)
		return n + 1 + m, nil
	}
	set.add(from)
	return n, nil
}

// parseByte reads one byte, which may be quoted.
func parseByte(text string) (b byte, n int, err error) {
	if text[0] != '\\' {
		return text[0], 1, nil
	}
	if len(text) < 2 {
		return 0, 0, ErrBracket
	}
	return text[1], 2, nil
}

// matches tells whether s matches the whole name.
func (s *segment) matches(name string) bool {
	switch {
	case s.any:
		return true
	case s.fixed:
		return name == s.literal
	case s.suffix:
		return strings.HasSuffix(name, s.literal)
	}
	// A star takes as little as will do; on a mismatch the last star takes one byte more. Earlier stars never need to take
	// more, since the last one could.
	star, retry := -1, 0
	e, at := 0, 0
	for at < len(name) {
		switch {
		case e < len(s.elems) && s.elems[e].star:
			star, retry = e, at
			e++
		case e < len(s.elems) && s.elems[e].set.has(name[at]):
			e++
			at++
		case star >= 0:
			retry++
			e, at = star+1, retry
		default:
			return false
		}
	}
	for e < len(s.elems) && s.elems[e].star {
		e++
	}
	return e == len(s.elems)
}

// matchPath tells whether the segments match all names of the path p. "**" at the end wants at least one name. The way
// is that of segment.matches, with names for bytes.
func matchPath(segments []segment, p string) bool {
	star, retry := -1, ""
	e, rest, more := 0, p, true
	for more {
		name, tail, deeper := strings.Cut(rest, "/")
		switch {
		case e < len(segments) && segments[e].any && e < len(segments)-1:
			star, retry = e, rest
			e++
			continue
		case e < len(segments) && segments[e].any:
			return true // at the end, with a name left for it
		case e < len(segments) && segments[e].matches(name):
			e++
			rest, more = tail, deeper
			continue
		case star < 0:
			return false
		}
		_, retry, more = strings.Cut(retry, "/")
		e, rest = star+1, retry
	}
	return e == len(segments)
}
