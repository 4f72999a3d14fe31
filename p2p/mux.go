package p2p

import "github.com/libp2p/go-libp2p/p2p/muxer/yamux"

// streamWindow is how many bytes a stream may hold before its reader has taken any: three times what is under way on a line of 200 Mbit/s with 100 ms of round
// trip, since a reader gives leave for more only when it has taken half. It does not grow, for two reasons. yamux begins with 256 KiB and doubles that every
// other round trip, so that a second goes by before such a line is full. And each time it grows (go-yamux v5.1.0, sendWindowUpdate) it counts what was taken
// until then as given back, and does not say so to the writer, who waits for it for ever: of 16 MiB half is lost.
const streamWindow = 8 << 20

// WriteSize is the longest write that travels as one message: yamux makes messages of 64 KiB, of which 12 bytes are its own.
// A buffer of 64 KiB before a stream would send each time a second message of 12 bytes.
const WriteSize = 64<<10 - 12

// muxer returns libp2p's settings of yamux with another window.
func muxer() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.InitialStreamWindowSize, t.MaxStreamWindowSize = streamWindow, streamWindow
	return &t
}
