package folder

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func (w *world) history() (names []string) {
	for _, n := range w.fs.User().Under(historyDir) {
		names = append(names, string(n.Path)[len(historyDir)+1:])
	}
	slices.Sort(names)
	return names
}

func TestOldVersionsAreLetGoOf(t *testing.T) {
	w := newWorld(t)
	w.fs.SetNow(time.Date(2026, 6, 30, 12, 0, 0, 0, time.UTC).UnixNano())
	for _, day := range []string{"2026-04-01", "2026-05-30", "2026-06-01", "2026-06-30"} {
		w.must(w.fs.User().MkdirAll(historyDir + "/" + day))
		w.must(w.fs.User().WriteFile(historyDir+"/"+day+"/10.00.00 f", "old"))
	}
	w.must(w.eng.PruneHistory(t.Context()))
	want := []string{"2026-06-01", "2026-06-01/10.00.00 f", "2026-06-30", "2026-06-30/10.00.00 f"}
	if got := w.history(); !slices.Equal(got, want) {
		t.Errorf("history holds %q, want %q", got, want)
	}
}

func TestHistoryKeepsToItsShareOfTheDiskOldestFirst(t *testing.T) {
	w := newWorld(t)
	w.fs.SetCapacity(100_000) // 10 % are 10,000 bytes
	today := w.clock().UTC().Format("2006-01-02")
	w.must(w.fs.User().MkdirAll(historyDir + "/" + today))
	for i := range 4 {
		w.must(w.fs.User().WriteFile(fmt.Sprintf("%s/%s/1%d.00.00 f", historyDir, today, i), string(make([]byte, 4000))))
	}
	w.eng.late = []lateFile{{at: historyDir + "/" + today + "/10.00.00 f"}}
	w.must(w.eng.PruneHistory(t.Context()))
	want := []string{today, today + "/10.00.00 f", today + "/12.00.00 f", today + "/13.00.00 f"}
	if got := w.history(); !slices.Equal(got, want) {
		t.Errorf("history holds %q, want %q: what may still be written to, and the newest", got, want)
	}
}

func TestADeviceThatJustStartedPrunesNothing(t *testing.T) {
	w := newWorld(t)
	w.must(w.fs.User().MkdirAll(historyDir + "/2020-01-01"))
	w.must(w.fs.User().WriteFile(historyDir+"/2020-01-01/10.00.00 f", "old"))
	w.svc.prune(t.Context())
	if len(w.history()) != 2 {
		t.Error("its clock is believed at once")
	}
	w.svc.began = w.svc.began.Add(-2 * pruneAfter)
	w.svc.prune(t.Context())
	if got := w.history(); len(got) != 0 {
		t.Errorf("later it still holds %q", got)
	}
}
