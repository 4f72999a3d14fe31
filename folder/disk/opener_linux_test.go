package disk

import "testing"

// OpenByName is Open as on a kernel without openat2.
func OpenByName(t *testing.T, root string) *OS {
	t.Helper()
	o, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	o.openat = walkOpener
	return o
}
