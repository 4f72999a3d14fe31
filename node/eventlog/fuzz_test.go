package eventlog

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/node/control"
)

// FuzzOpen: whatever the file holds, the log opens, its events rise, a reader gets every one of them and the next, and another run reads the same.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("{\"seq\":1,\"kind\":\"changed\",\"path\":\"a\"}\n{\"seq\":2}\n{\"seq\":"))
	f.Add([]byte("{\"seq\":5}\n{\"seq\":3}\nnull\n[]\n{\"seq\":18446744073709551615}\n"))
	f.Add([]byte("{\"seq\":7,\"path\":\"\\udcff\",\"time\":\"2026-01-01T00:00:00Z\"}"))
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "events")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(path, now)
		if err != nil {
			t.Fatal(err)
		}
		l.Add(control.Event{Kind: control.EventProblem, Message: "x"})
		kept := l.Find("", "", keep+1)
		got := watch(t, l, len(kept))
		for i := range kept {
			if i > 0 && kept[i].Seq <= kept[i-1].Seq {
				t.Fatalf("event %d follows %d", kept[i].Seq, kept[i-1].Seq)
			}
			if got[i].Seq != kept[i].Seq {
				t.Fatalf("the reader got %d as event %d, want %d", got[i].Seq, i, kept[i].Seq)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(path, func() time.Time { return now().Add(time.Second) })
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if n := len(again.Find("", "", keep+1)); n != len(kept) {
			t.Fatalf("the next run reads %d events of %d", n, len(kept))
		}
	})
}

// watch reads n events from the first on.
func watch(t *testing.T, l *Log, n int) (got []control.Event) {
	t.Helper()
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := l.WatchEvents(ctx, 0, func(e control.Event) error {
		if got = append(got, e); len(got) == n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("the reader got %d events of %d: %v", len(got), n, err)
	}
	return got
}
