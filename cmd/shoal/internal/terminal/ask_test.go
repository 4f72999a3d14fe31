package terminal

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAQuestionIsRepeatedUntilItIsAnswered(t *testing.T) {
	for typed, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\nwhat\n y \n": true, "maybe\nno\n": false} {
		c, out := inMemory(false)
		c.In = strings.NewReader(typed)
		got, err := c.Ask(t.Context(), "Sure?")
		if err != nil || got != want {
			t.Errorf("%q is %v (%v), want %v", typed, got, err, want)
		}
		if asked := strings.Count(out.String(), "Sure? [y/n] "); asked != strings.Count(typed, "\n") {
			t.Errorf("%q: asked %d times", typed, asked)
		}
	}
}

func TestQuestionsAreAnsweredInTurn(t *testing.T) {
	c, _ := inMemory(false)
	c.In = strings.NewReader("y\nn\n")
	first, err1 := c.Ask(t.Context(), "1?")
	second, err2 := c.Ask(t.Context(), "2?")
	_, err3 := c.Ask(t.Context(), "3?")
	if err := errors.Join(err1, err2); err != nil || !first || second || !errors.Is(err3, ErrNoAnswer) {
		t.Errorf("got %v, %v, %v, %v", first, second, err, err3)
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	c, _ := inMemory(false)
	in, never := io.Pipe()
	defer never.Close()
	c.In = in
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Ask(ctx, "Sure?"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheFirstErrorOfOutputIsKept(t *testing.T) {
	c := &Console{}
	broken, w := io.Pipe()
	broken.Close()
	c.out = &keeper{w: w}
	c.Out = c.out
	c.Printf("one")
	c.Printf("two")
	if err := c.WriteError(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}
