package terminal

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

func TestTheQRCodeIsTheOneOfTheText(t *testing.T) {
	const text = "shoal1ticket"
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(QR(text, 200, false), "\n"), "\n")
	if want := (code.Size + 2*quietZone + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for y, line := range lines {
		cells := []rune(line)
		if want := code.Size + 2*quietZone; len(cells) != want {
			t.Fatalf("line of %d modules, want %d", len(cells), want)
		}
		for x, cell := range cells {
			for half, light := range []bool{cell == '█' || cell == '▀', cell == '█' || cell == '▄'} {
				mx, my := x-quietZone, 2*y+half-quietZone
				if my >= code.Size+quietZone {
					continue
				}
				inside := mx >= 0 && my >= 0 && mx < code.Size && my < code.Size
				if dark := inside && code.Black(mx, my); light == dark {
					t.Fatalf("module %d,%d is light: %v", mx, my, light)
				}
			}
		}
	}
}

func TestAQRCodeThatDoesNotFitIsLeftOut(t *testing.T) {
	if got := QR("shoal1ticket", 20, false); got != "" {
		t.Errorf("in 20 columns:\n%s", got)
	}
	if got := QR(strings.Repeat("x", 5000), 1000, false); got != "" {
		t.Error("a text that is too long has one")
	}
	if got := QR("shoal1ticket", 80, true); !strings.Contains(got, "\x1b[97;40m") || strings.Count(got, "\x1b[0m") != strings.Count(got, "\n") {
		t.Error("colours do not begin and end on each line")
	}
}
