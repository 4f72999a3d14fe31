// Package node is one running device: it builds every part from a Config, owns every goroutine, and answers the control API.
//
// What lives how long:
//
//	process   home lock, device key, settings, roster, event log, database, network host, exchanges, control server   (node.go)
//	folder    file system, watcher, engine, service; opened again when its root comes back                            (folderrun.go)
//	guest     one request to be admitted                                                                              (guests.go)
//
// Parts are started in order and stopped in reverse. Nothing here decides about records, blocks or files: packages below do. The node carries
// news from one to another: what was recorded goes to the exchange, what arrived wakes the folder, a grown roster opens and shuts doors.
package node
