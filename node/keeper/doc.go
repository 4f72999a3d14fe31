// Package keeper is one running vault. It is to package vault what package node is to package folder; a vault has no folders on a disk and
// no keys.
//
// A process keeps many meshes. Each is a tenant (keeper): it has a device key, a network, a database, packs and settings of its own, and
// shares with the others the control socket, the log and the disk, so that no mesh learns of another, and no message that one sends can
// reach what is kept of another. The process supervises them: the trouble of one does not stop the others. A vacancy is a vault that waits
// for a mesh with a ticket of the operator.
//
// What lives where in the data folder: docs/vault.md.
package keeper
