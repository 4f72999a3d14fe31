package terminal

import (
	"strings"
	"unicode/utf8"
)

// Cell is one text of a table, with its style. The text is made Printable when it is added.
type Cell struct {
	Text  string
	Style Style
}

// Table prints rows with their columns aligned. The zero value is ready.
type Table struct {
	rows [][]Cell
}

// Row adds a row of plain cells.
func (t *Table) Row(cells ...string) {
	row := make([]Cell, 0, len(cells))
	for _, text := range cells {
		row = append(row, Cell{Text: text})
	}
	t.Cells(row...)
}

// Cells adds a row.
func (t *Table) Cells(cells ...Cell) {
	row := make([]Cell, 0, len(cells))
	for _, cell := range cells {
		row = append(row, Cell{Text: Printable(cell.Text), Style: cell.Style})
	}
	t.rows = append(t.rows, row)
}

// columnGap stands between two columns.
const columnGap = "  "

// Print writes the table to c.Out, each row after indent.
func (t *Table) Print(c *Console, indent string) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell.Text))
		}
	}
	for _, row := range t.rows {
		var line strings.Builder
		line.WriteString(indent)
		for i, cell := range row {
			line.WriteString(c.Styled(cell.Style, cell.Text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell.Text)) + columnGap)
			}
		}
		c.Printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}
