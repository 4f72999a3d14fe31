package terminal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// ErrNoAnswer means that standard input ended before a question was answered.
var ErrNoAnswer = errors.New("nobody answered")

// asker puts questions one after the other and reads the answers.
type asker struct {
	console *Console
	turn    chan struct{} // holds one token: who has it asks
	start   sync.Once
	lines   chan string // sent and closed by read; not buffered
}

func newAsker(c *Console) *asker {
	return &asker{console: c, turn: make(chan struct{}, 1), lines: make(chan string)}
}

// Ask puts a question that is answered with yes or no, and asks again until it is. Questions that come at once wait for each
// other. It returns ErrNoAnswer when In has ended, and the context's error when ctx ends first; a line that is typed after
// that answers the next question.
func (c *Console) Ask(ctx context.Context, question string) (bool, error) {
	a := c.asker
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// The reader lives as long as the process: reading from a terminal cannot be interrupted.
	a.start.Do(func() { go a.read(c.In) })
	for {
		_, _ = io.WriteString(c.Err, question+" [y/n] ")
		select {
		case line, more := <-a.lines:
			if !more {
				return false, ErrNoAnswer
			}
			switch strings.ToLower(strings.TrimSpace(line)) {
			case "y", "yes":
				return true, nil
			case "n", "no":
				return false, nil
			}
		case <-ctx.Done():
			c.Notef("")
			return false, ctx.Err()
		}
	}
}

// read sends every line of in until it ends.
func (a *asker) read(in io.Reader) {
	defer close(a.lines)
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		a.lines <- scanner.Text()
	}
}
