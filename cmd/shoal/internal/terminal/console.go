// Package terminal is where the program meets a person: what is a terminal and what is not, colours, tables, sizes in words,
// QR codes, questions.
//
// Its laws: nothing that came from outside reaches a terminal before Printable; without a terminal output is plain, without
// colours and without waiting; standard output carries results only, all else goes to standard error.
package terminal

import (
	"fmt"
	"io"
	"os"
)

// Console is the three standard streams and what is known of them. Make it with New.
type Console struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // progress, questions, errors

	InTerminal, OutTerminal, ErrTerminal bool
	Color                                bool // Out may carry colours

	asker *asker
	out   *keeper
	width func() int
}

// defaultWidth is what output is fitted to when the terminal does not say.
const defaultWidth = 80

// New makes the console of the three files. Colours are on when out is a terminal and NO_COLOR (no-color.org) is empty.
func New(in, out, err *os.File) *Console {
	kept := &keeper{w: out}
	c := &Console{
		In: in, Out: kept, Err: err, out: kept,
		InTerminal: isTerminal(in), OutTerminal: isTerminal(out), ErrTerminal: isTerminal(err),
		width: func() int { return width(out) },
	}
	c.Color = c.OutTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && enableColor(out)
	c.asker = newAsker(c)
	return c
}

// Width returns how many columns Out has, 80 when it does not say.
func (c *Console) Width() int {
	if w := c.width(); w > 0 {
		return w
	}
	return defaultWidth
}

// CanAsk tells whether a person is there to answer: In and Err are terminals.
func (c *Console) CanAsk() bool { return c.InTerminal && c.ErrTerminal }

// Printf writes to Out. An error is kept for WriteError.
func (c *Console) Printf(format string, args ...any) { _, _ = fmt.Fprintf(c.Out, format, args...) }

// Notef writes a line to Err.
func (c *Console) Notef(format string, args ...any) { _, _ = fmt.Fprintf(c.Err, format+"\n", args...) }

// Clear empties the screen of Out.
func (c *Console) Clear() { c.Printf("\x1b[H\x1b[2J") }

// WriteError returns the first error that writing to Out gave.
func (c *Console) WriteError() error { return c.out.err }

// keeper remembers the first error of a writer and writes no more after it.
type keeper struct {
	w   io.Writer
	err error
}

func (k *keeper) Write(p []byte) (int, error) {
	if k.err != nil {
		return 0, k.err
	}
	n, err := k.w.Write(p)
	k.err = err
	return n, err
}

// Style is how a text looks where there are colours.
type Style string

// The styles; the value is the SGR parameter (ECMA-48 §8.3.117).
const (
	Plain  Style = ""
	Bold   Style = "1"
	Faint  Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Styled returns text in a style for Out; unchanged without colours.
func (c *Console) Styled(s Style, text string) string {
	if !c.Color || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
