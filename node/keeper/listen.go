package keeper

import (
	"strconv"
	"strings"
)

// portsEach is how many ports a tenant has: of its host, and of the second one with which it serves the hash table.
const portsEach = 2

// listenAt gives a tenant's addresses: the vault's own, with every port moved on by two for each slot. Port 0 stays: any. An address without a
// port, or of which the ports run out, is any, too.
func listenAt(listen []string, slot int) []string {
	if listen == nil || slot == 0 {
		return listen
	}
	out := make([]string, len(listen))
	for i, addr := range listen {
		out[i] = withPort(addr, func(port int) int {
			if port == 0 || port+portsEach*slot > 1<<16-1 {
				return 0
			}
			return port + portsEach*slot
		})
	}
	return out
}

// anyPort is listen with free ports, for when those that were meant are taken.
func anyPort(listen []string) []string {
	out := make([]string, len(listen))
	for i, addr := range listen {
		out[i] = withPort(addr, func(int) int { return 0 })
	}
	return out
}

// withPort changes the port of a multiaddr.
func withPort(addr string, change func(int) int) string {
	parts := strings.Split(addr, "/")
	for i := 1; i+1 < len(parts); i++ {
		if parts[i] != "tcp" && parts[i] != "udp" {
			continue
		}
		if port, err := strconv.Atoi(parts[i+1]); err == nil {
			parts[i+1] = strconv.Itoa(change(port))
		}
		break
	}
	return strings.Join(parts, "/")
}

// pinned is listen with the ports that a host got where it asked for any, so that it can be opened there again. addrs are the host's.
func pinned(listen, addrs []string) []string {
	out := make([]string, len(listen))
	for i, addr := range listen {
		out[i] = withPort(addr, func(port int) int {
			for _, bound := range addrs {
				if got := portLike(addr, bound); port == 0 && got > 0 {
					return got
				}
			}
			return port
		})
	}
	return out
}

// portLike is the port of an address of the same family and transport as another; 0 if it is of another kind.
func portLike(addr, bound string) int {
	a, b := strings.Split(addr, "/"), strings.Split(bound, "/")
	if len(a) < 5 || len(b) < 5 || a[1] != b[1] || a[3] != b[3] {
		return 0
	}
	port, err := strconv.Atoi(b[4])
	if err != nil {
		return 0
	}
	return port
}
