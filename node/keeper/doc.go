// Package keeper is one running vault: it builds the network, the exchanges and the tenant of package vault from a Config, owns every
// goroutine, and answers the control API. It is to package vault what package node is to package folder; a vault has no folders on a
// disk and no keys.
//
// What lives in its data folder (docs/vault.md): device.key, roster, index.db, packs/, vault.json, settings.json, events.jsonl, and the
// control socket.
package keeper
