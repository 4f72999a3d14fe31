package terminal

import (
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestWhatATerminalWouldActOnIsEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"plain text":         "plain text",
		"Füße 日本 😀":          "Füße 日本 😀",
		"\x1b[31mred":        `\x1b[31mred`,
		"line\nline\ttab":    `line\nline\ttab`,
		"bell\a\x7f":         `bell\a\x7f`,
		"no \xff UTF-8":      `no \xff UTF-8`,
		"\uFFFD":             `\ufffd`,
		"abc\u202egnp.exe":   `abc\u202egnp.exe`,
		"zero\u200bwidth":    `zero\u200bwidth`,
		"C1 control\u009b2J": `C1 control\u009b2J`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestNothingPrintableHarmsATerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := Printable(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", got)
		}
		if again := Printable(got); again != got {
			t.Fatalf("twice: %q, once: %q", again, got)
		}
	})
}

func TestSizesInWords(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 102_348: "99.9 KiB", 102_400: "100 KiB", 1 << 20: "1.0 MiB",
		6 << 30: "6.0 GiB", math.MaxInt64: "8.0 EiB", -5: "-5 B",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 files", 1: "1 file", 999: "999 files", 1000: "1,000 files", 1234567: "1,234,567 files", -1000: "-1,000 files"} {
		if got := Count(n, "file"); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
