package packstore

import (
	"testing"

	"github.com/shoalmesh/shoal/block"
)

// More copies than one page has are each listed once, in order, while fn uses the store.
func TestKeysListsInPagesWhileTheStoreIsUsed(t *testing.T) {
	r := newRig(t)
	r.s.config.Batch = 1000
	const n = keysPage + 500
	for i := range n {
		r.put(i, 20)
	}
	seen := map[block.Key]bool{}
	must(t, r.s.Keys(t.Context(), func(k block.Key, size int) error {
		if seen[k] || size == 0 {
			t.Errorf("block %s of %d bytes is listed again", k.ID.Short(), size)
		}
		seen[k] = true
		if len(seen)%7 == 0 {
			return r.s.Delete(t.Context(), k)
		}
		_, err := r.s.Get(t.Context(), k)
		return err
	}))
	if len(seen) != n {
		t.Errorf("%d copies are listed, want %d", len(seen), n)
	}
	left := 0
	must(t, r.s.Keys(t.Context(), func(block.Key, int) error { left++; return nil }))
	if left != n-n/7 {
		t.Errorf("%d are left, want %d", left, n-n/7)
	}
}
