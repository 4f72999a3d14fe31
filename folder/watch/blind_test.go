package watch

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestAWatcherThatEndsIsBlind(t *testing.T) {
	w, err := New(filepath.Join(t.TempDir(), "missing"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run(context.Background())
	if n, why := w.Blind(); err == nil || n == 0 || !errors.Is(why, err) {
		t.Errorf("ended with %v, blind %d, %v", err, n, why)
	}
}
