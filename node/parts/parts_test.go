package parts

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func untilTold(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAPartThatFailsEndsTheOthers(t *testing.T) {
	g, broken := New(t.Context()), errors.New("broken")
	g.Run("steady", untilTold)
	g.Run("finished", func(context.Context) error { return nil })
	g.Run("weak", func(context.Context) error { return broken })
	err := g.Wait()
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "weak") || strings.Contains(err.Error(), "steady") {
		t.Fatal(err)
	}
}

func TestAPartThatEndsEarlyEndsNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := New(ctx)
	done := make(chan struct{})
	g.Run("finished", func(context.Context) error { defer close(done); return nil })
	<-done
	g.Run("steady", func(ctx context.Context) error {
		if ctx.Err() != nil {
			t.Error("it was told to end")
		}
		cancel()
		return untilTold(ctx)
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestAPartThatMustLastDoesNotEndUnseen(t *testing.T) {
	g := New(t.Context())
	g.Keep("steady", untilTold)
	g.Keep("finished", func(context.Context) error { return nil })
	if err := g.Wait(); !errors.Is(err, ErrEndedEarly) || !strings.Contains(err.Error(), "finished") || strings.Contains(err.Error(), "steady") {
		t.Fatal(err)
	}
}

func TestAPartThatMustLastMayEndWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := New(ctx)
	g.Keep("steady", func(ctx context.Context) error { <-ctx.Done(); return nil })
	cancel()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
