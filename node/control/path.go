package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Path is a file name or path as bytes, relative to a folder or absolute on this disk; the field says which. As JSON it is
// a string. A byte that is not part of valid UTF-8 travels as the lone surrogate U+DC00 + byte, as PEP 383
// ("surrogateescape") does it, so that any name goes there and back unchanged; Python's os.fsencode and JavaScript
// strings understand the form.
type Path string

// Bytes that cannot be part of valid UTF-8 are 0x80 to 0xff.
const (
	firstEscape = 0xdc80
	lastEscape  = 0xdcff
)

// MarshalJSON writes the string form.
func (p Path) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(p)) {
		return json.Marshal(string(p))
	}
	out := []byte{'"'}
	for rest := string(p); rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError && size == 1 {
			out = fmt.Appendf(out, `\udc%02x`, rest[0])
			rest = rest[1:]
			continue
		}
		quoted, err := json.Marshal(rest[:size])
		if err != nil {
			return nil, err
		}
		out = append(out, quoted[1:len(quoted)-1]...)
		rest = rest[size:]
	}
	return append(out, '"'), nil
}

// UnmarshalJSON reads the string form. A lone surrogate that stands for no byte is an error.
func (p *Path) UnmarshalJSON(raw []byte) error {
	parts := surrogates(string(raw))
	var out strings.Builder
	for _, part := range parts {
		if part.escaped {
			out.WriteByte(part.raw)
			continue
		}
		var text string
		if err := json.Unmarshal([]byte(part.literal), &text); err != nil {
			return fmt.Errorf("path: %w", err)
		}
		// The decoder replaces surrogates that it cannot pair; a replacement that was not written out is one of those.
		written := strings.Count(part.literal, "\uFFFD") + strings.Count(strings.ToLower(part.literal), `\ufffd`)
		if strings.Count(text, "\uFFFD") > written {
			return fmt.Errorf("path: surrogate that stands for no byte")
		}
		out.WriteString(text)
	}
	*p = Path(out.String())
	return nil
}

// piece is a stretch of a JSON string: a whole JSON string of its own, or one byte that was escaped.
type piece struct {
	literal string
	escaped bool
	raw     byte
}

// surrogates splits the JSON string raw at the escapes of single bytes. A low surrogate after a high one is half of an
// ordinary character and stays in the literal.
func surrogates(raw string) []piece {
	var parts []piece
	start, high := 0, false
	for i := 0; i < len(raw); {
		if raw[i] != '\\' || i+1 >= len(raw) {
			high = false
			i++
			continue
		}
		unit, ok := hexEscape(raw[i:])
		switch {
		case !ok:
			high = false
			i += 2
		case unit >= firstEscape && unit <= lastEscape && !high:
			parts = append(parts, piece{literal: quoteOpen(raw, start) + raw[start:i] + `"`})
			parts = append(parts, piece{escaped: true, raw: byte(unit - 0xdc00)})
			i += 6
			start = i
		default:
			high = !high && unit >= 0xd800 && unit <= 0xdbff
			i += 6
		}
	}
	return append(parts, piece{literal: quoteOpen(raw, start) + raw[start:]})
}

// quoteOpen returns the quotation mark that a literal lacks when it begins inside raw.
func quoteOpen(raw string, start int) string {
	if start == 0 {
		return ""
	}
	return `"`
}

// hexEscape reads the UTF-16 unit of a \uXXXX escape at the beginning of s.
func hexEscape(s string) (unit int, ok bool) {
	if len(s) < 6 || s[1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(s[2:6]) {
		switch {
		case c >= '0' && c <= '9':
			unit = unit<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			unit = unit<<4 | int(c-'a'+10)
		case c >= 'A' && c <= 'F':
			unit = unit<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}
