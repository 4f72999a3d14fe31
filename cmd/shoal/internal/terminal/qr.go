package terminal

import (
	"strings"

	"rsc.io/qr"
)

// quietZone is the light border that a QR code needs, in modules (ISO/IEC 18004 §6.3.8).
const quietZone = 4

// QR returns text as a QR code of half blocks, two modules to a character, ready to print; empty when it does not fit into
// columns or is too long for a QR code. With color the code is black on white; without, its light modules are the
// foreground, which is right on dark terminals and which most cameras read on light ones too.
func QR(text string, columns int, color bool) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil || code.Size+2*quietZone > columns {
		return ""
	}
	light := func(x, y int) bool {
		inside := x >= 0 && y >= 0 && x < code.Size && y < code.Size
		return !inside || !code.Black(x, y)
	}
	var out strings.Builder
	for y := -quietZone; y < code.Size+quietZone; y += 2 {
		if color {
			out.WriteString("\x1b[97;40m")
		}
		for x := -quietZone; x < code.Size+quietZone; x++ {
			// The row below the last one does not exist when the size is odd: it stays dark.
			below := y+1 < code.Size+quietZone && light(x, y+1)
			out.WriteString(halfBlock(light(x, y), below))
		}
		if color {
			out.WriteString("\x1b[0m")
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func halfBlock(upper, lower bool) string {
	switch {
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
