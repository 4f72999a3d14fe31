// Program bench measures the built program and, side by side in the same run, rsync, syncthing and restic, and prints one table.
//
//	go run ./e2e/bench                                   the first syncs, an edit, an insertion; all peers
//	go run ./e2e/bench -only all                         also photos, other changes of a big file, renames and copies
//	go run ./e2e/bench -peers syncthing -only latency    one workload, one peer beside shoal
//	go run ./e2e/bench -only tiny -tiny 1000000          a very big tree: scans, start, sync, memory, databases; shoal alone
//	go run ./e2e/bench -peers rsync-fsync -dir /dev/shm  beside an rsync that is durable, in memory
//	go run ./e2e/bench vault                             stores: a vault, an rsync daemon, a restic repository; workloads whose names begin so
//	go run ./e2e/bench -size 64 -files 2000 vault        the same, small
//	go run ./e2e/bench -smoke                            seconds: what is sent and recorded, against what may be
//	go run ./e2e/bench -size 2048 -rounds 3 -json        bigger, the median of three, as JSON
//
// Two ends live on this machine and talk over 127.0.0.1, in a network namespace of their own where that is allowed, so that the
// bytes on the wire are theirs alone; else others are counted too. In every workload both ends run and are connected before the clock starts,
// the content is put in place with one rename, and each peer is told to look at the disk now. The clock stops when the peer
// says that the other end has everything; the trees are then compared. Rounds are interleaved and begin with another peer each. What rsync does not have, a watcher, costs it nothing: it is
// started at the moment of the change.
//
// With stores a tree goes up, the source ends, the store is started again and scrubbed, and a target that is empty gets the tree from the store alone.
//
// Columns: wall time (the median, and the least and most of all rounds) and what follows from it, processor seconds of both ends together, peak resident memory of the hungrier end ever, and what of it had no file behind it during the measurement, bytes on the wire with all
// headers; what a store takes of the disk. rsync as a daemon does not encrypt; shoal and syncthing do.
//
// Before all it measures for some seconds what bounds them: memory, AES, hashing, loopback, the disk.
//
// Peers that are missing are installed from Debian if this process may; else the table says so and goes on without them.
package main
