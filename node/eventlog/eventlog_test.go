package eventlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/node/control"
)

// TestTheFileStaysSmallAndKeepsTheNewest: a daemon that runs for years writes into a file that has a bound, and the next run finds what happened last.
func TestTheFileStaysSmallAndKeepsTheNewest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l, err := Open(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	const events = 3 * maxFile / 1000
	long := strings.Repeat("x", 1000)
	for i := range events {
		l.Add(control.Event{Kind: control.EventProblem, Path: control.Path(fmt.Sprint(i)), Message: long})
		if i%1000 == 0 || i == events-1 {
			if st, err := os.Stat(path); err != nil || st.Size() > maxFile {
				t.Fatalf("after %d events the file has %d bytes (%v), may have %d", i, st.Size(), err, maxFile)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path, func() time.Time { return now.Add(time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	kept := again.Find("", "", keep)
	if least := maxFile / 2 / 1200; len(kept) < least {
		t.Fatalf("the next run finds %d events, want %d or more", len(kept), least)
	}
	for i, e := range kept {
		if want := fmt.Sprint(events - len(kept) + i); string(e.Path) != want {
			t.Fatalf("event %d of %d is %q, want %q", i, len(kept), e.Path, want)
		}
	}
}
