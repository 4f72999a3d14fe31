//go:build linux

package lab

import "testing"

// Drawn at random, two of a thousand ports would be the same in nearly every run, and two devices of a test in one run of a hundred.
func TestNoPortIsGivenTwice(t *testing.T) {
	t.Parallel()
	given := map[int]bool{}
	for range 1000 {
		port, err := FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if port < firstPort || port >= lastPort || given[port] {
			t.Fatalf("port %d, again or out of range", port)
		}
		for behind := range 16 { // of a vault and seven tenants
			given[port+behind] = true
		}
	}
}
