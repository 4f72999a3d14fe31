package terminal

import (
	"context"
	"errors"
	"io"
	"os"
)

// AskSecret puts a question on the terminal and reads one line that is not shown while it is typed; the caller overwrites it when it was used. A
// line of more than max bytes is an error. It is to be called before Ask, which reads ahead. When ctx ends first, the terminal is
// as before, and its error is returned.
func (c *Console) AskSecret(ctx context.Context, question string, max int) ([]byte, error) {
	in, ok := c.In.(*os.File)
	if !ok {
		return nil, ErrNoAnswer
	}
	restore, err := hideInput(in)
	if err != nil {
		return nil, err
	}
	defer restore()
	_, _ = io.WriteString(c.Err, question+" ")
	type answer struct {
		line []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() { // reading from a terminal cannot be interrupted: it ends with a line, or with the process
		line, err := readLine(in, max)
		read <- answer{line, err}
	}()
	select {
	case a := <-read:
		return a.line, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errLongLine: more was typed than anybody asked for.
var errLongLine = errors.New("the line is too long")

// readLine reads to the end of a line, byte by byte, so that nothing behind it is lost, into memory that is never moved.
func readLine(r io.Reader, max int) ([]byte, error) {
	line := make([]byte, 0, max)
	var one [1]byte
	defer clear(one[:])
	for {
		n, err := r.Read(one[:])
		switch {
		case n > 0 && one[0] == '\n':
			return line, nil
		case n > 0 && len(line) == max:
			clear(line)
			return nil, errLongLine
		case n > 0:
			line = append(line, one[0])
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, ErrNoAnswer
		case errors.Is(err, io.EOF):
			return line, nil
		case err != nil:
			clear(line)
			return nil, err
		}
	}
}
