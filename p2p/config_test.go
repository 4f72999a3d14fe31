package p2p

import "testing"

func TestPortsAreAskedForOnlyWhereARouterCouldUseThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want bool
	}{
		{Config{PortMap: true}, true},
		{Config{PortMap: true, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"}}, false},
		{Config{PortMap: true, Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/192.168.1.2/tcp/0"}}, true},
		{Config{PortMap: true, Listen: []string{}}, false},
		{Config{}, false},
	} {
		if got := c.c.withDefaults().mapsPorts(); got != c.want {
			t.Errorf("%v: %v", c.c.Listen, got)
		}
	}
}
