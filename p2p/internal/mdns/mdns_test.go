package mdns

import (
	"testing"
	"time"
)

func TestOwnQueryIsHeard(t *testing.T) {
	if !Works(time.Now, time.Second) {
		t.Skip("no multicast here")
	}
}
