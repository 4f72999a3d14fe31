package p2p

import "github.com/libp2p/go-libp2p/p2p/muxer/yamux"

// firstStreamWindow is how many bytes a stream may hold before its reader has taken any. yamux begins with 256 KiB and doubles that every other round trip: on a
// line of 200 Mbit/s with 100 ms of round trip a second goes by before it is in use.
const firstStreamWindow = 2 << 20

// muxer returns libp2p's settings of yamux with a greater first window.
func muxer() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.InitialStreamWindowSize = firstStreamWindow
	return &t
}
