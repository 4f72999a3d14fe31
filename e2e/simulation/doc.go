// Package simulation runs a whole mesh in one goroutine: the real engine, index and index exchange on simulated disks, networks and clocks, every
// decision from one seed. A failing seed replays bit for bit:
//
//	go test ./e2e/simulation -sim.seed=N -v
//
// The oracle is that of "Mysteries of Dropbox" (Hughes, Pierce, Arts, Norell, 2016): content may vanish only when a user overwrote or deleted it
// where it was shown. At the end of a schedule the network is healed, and then every device must show one tree, under the same conflict names,
// with everything in it that nobody let go of, and the journals must stop growing.
//
// It holds test code only.
package simulation
