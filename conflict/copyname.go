package conflict

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoalmesh/shoal"
)

const (
	maxDeviceBytes    = 20 // DEVICE in a copy name; leaves at least 120 bytes for NAME whatever else is long
	maxExtensionBytes = 16 // longer than any extension in use; what is longer is part of a sentence
	minDigestDigits   = 4
	copyTimeLayout    = "2006-01-02 15.04.05"
)

// CopyName returns the name of the conflict copy of a losing record:
//
//	NAME (conflict DEVICE 2026-11-22 14.03.05 a1b2).EXT
//
// name is the path's own last name and must be valid (no slash, at most 255 bytes); device is the name under which the
// record's device was admitted, of which letters, digits, dots, dashes and underscores stay; at is the losing record's time,
// shown in UTC; digest is the keyed hash of path, version and content ID, of which as many hex digits are shown, at least 4,
// as it takes to get a name that is not taken. When all 64 are taken, "-2", "-3" … follow them, so taken must be false for
// all but finitely many names. NAME is cut, where it is UTF-8 between two characters, so that all fits 255 bytes.
//
// Every device must come to the same name, so a change of this function is a change of format: testdata/copynames.txt.
func CopyName(name, device string, at time.Time, digest [32]byte, taken func(string) bool) string {
	stem, ext := splitExtension(name)
	prefix := " (conflict " + copyDevice(device) + " " + at.UTC().Format(copyTimeLayout) + " "
	digits := hex.EncodeToString(digest[:])
	for n := minDigestDigits; ; n++ {
		mark := digits[:min(n, len(digits))]
		if more := n - len(digits); more > 0 {
			mark += "-" + strconv.Itoa(more+1)
		}
		suffix := prefix + mark + ")" + ext
		if full := cutName(stem, shoal.MaxNameBytes-len(suffix)) + suffix; !taken(full) {
			return full
		}
	}
}

// splitExtension cuts name before its last dot, if what follows looks like an extension: 1 to 16 bytes without a space, and
// before the dot something other than dots. So ".bashrc" and "v1. Final draft" have none, and that of "a.tar.gz" is ".gz".
func splitExtension(name string) (stem, ext string) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return name, ""
	}
	stem, ext = name[:dot], name[dot:]
	if strings.Trim(stem, ".") == "" || len(ext) < 2 || len(ext) > 1+maxExtensionBytes || strings.ContainsAny(ext, " ()") {
		return name, ""
	}
	return stem, ext
}

// copyDevice maps a device's name to [A-Za-z0-9._-], at most 20 bytes: each run of anything else becomes one dash, and dashes
// at the ends go. A name of which nothing is left becomes "device".
func copyDevice(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range name {
		if !isPlain(r) {
			dash = true
			continue
		}
		if dash && b.Len() > 0 {
			b.WriteByte('-')
		}
		dash = false
		b.WriteRune(r)
	}
	out := b.String()
	out = strings.Trim(out[:min(len(out), maxDeviceBytes)], "-")
	if out == "" {
		return "device"
	}
	return out
}

func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// cutName returns at most n leading bytes of stem. A UTF-8 stem is not cut inside a character.
func cutName(stem string, n int) string {
	if len(stem) <= n {
		return stem
	}
	n = max(n, 0)
	if utf8.ValidString(stem) {
		for n > 0 && !utf8.RuneStart(stem[n]) {
			n--
		}
	}
	return stem[:n]
}
