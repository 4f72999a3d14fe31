package terminal

import (
	"bytes"
	"testing"
)

// inMemory is a console that writes to a buffer.
func inMemory(color bool) (*Console, *bytes.Buffer) {
	var out bytes.Buffer
	c := &Console{Out: &out, Err: &out, Color: color, out: &keeper{w: &out}, width: func() int { return 0 }}
	c.asker = newAsker(c)
	return c, &out
}

func TestColumnsAreAlignedWithAndWithoutColours(t *testing.T) {
	table := &Table{}
	table.Row("é", "b", "c")
	table.Cells(Cell{Text: "long", Style: Red}, Cell{Text: ""}, Cell{Text: "x\x1by", Style: Bold})
	table.Row("only one")
	for _, row := range []struct {
		color bool
		want  string
	}{
		{false, "  é         b  c\n  long         x\\x1by\n  only one\n"},
		{true, "  é         b  c\n  \x1b[31mlong\x1b[0m         \x1b[1mx\\x1by\x1b[0m\n  only one\n"},
	} {
		c, out := inMemory(row.color)
		table.Print(c, "  ")
		if out.String() != row.want {
			t.Errorf("got\n%q, want\n%q", out, row.want)
		}
	}
}
