// Package watch tells which folders of a tree may have changed, at once and without polling.
//
// A Watcher sets a watch on every folder below a root and collects what the system reports into a bounded set of dirty
// folders, which its caller takes whenever it likes:
//
//	go w.Run(ctx)
//	for range w.Changed() {
//		for _, f := range w.Take().Folders {
//			// list f.Path and compare
//		}
//	}
//
// # Laws
//
//   - A report means "list this folder", never more. Names in the system's events are hints and do not reach the caller.
//   - What changes in a folder after it was taken makes it dirty again. A folder is reported after its watch is set, so
//     whoever lists what is reported misses nothing, however fast folders come and move.
//   - The first report, and any after events were lost, is All: everything may have changed.
//   - The set is bounded: when it is full it becomes All.
//   - Watches can run out, and some folders cannot be watched: Blind counts them, and their changes are found only by
//     looking. Network file systems report only what this machine does.
//
// # What it does not do
//
// It does not delay or debounce, list files, follow symlinks, or look at contents. It never looks into ".shoal" at the
// root, nor into folders that Options.Skip names.
//
// On Linux it speaks inotify itself, since it needs to know when a file that was written is closed, which fsnotify does
// not tell, and since a tree of parents costs a third of the memory of full paths. Elsewhere it uses fsnotify; on macOS that
// opens every file, so large trees go blind there.
package watch
