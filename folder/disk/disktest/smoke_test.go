package disktest

import "testing"

func TestNothingSyncedMeansNothingCertain(t *testing.T) {
	f := New(Options{})
	u := f.User()
	if err := u.MkdirAll("a/b"); err != nil {
		t.Fatal(err)
	}
	if err := u.WriteFile("a/b/c", "hello"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for seed := range uint64(200) {
		c := f.Crash(seed)
		if err := c.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen[c.User().Dump()] = true
	}
	if len(seen) < 4 || !seen[""] || !seen[u.Dump()] {
		t.Fatalf("power cuts leave %d different disks", len(seen))
	}
	if err := u.Sync(); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		if got := f.Crash(seed).User().Dump(); got != u.Dump() {
			t.Fatalf("seed %d: synced, and after the power cut %s", seed, got)
		}
	}
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
}
