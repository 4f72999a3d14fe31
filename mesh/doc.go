// Package mesh holds who belongs together: device identities, the roster of a mesh, and the keys that follow from it.
//
// # Words
//
//   - An Identity is one device's secret. It signs, and it opens envelopes.
//   - The Root is the key above all devices. It derives from a recovery phrase of 24 words and is not kept on any device.
//   - A statement is a signed message: admit, revoke, give a role, make a folder, begin an epoch, … . It names the statements
//     that its signer knew, so statements form a graph, like commits.
//   - A Roster is a set of statements. A State is what a set says.
//   - An epoch is a generation of a folder's keys. All its keys derive from one root, which is sealed to every reader of the mesh
//     in an envelope. The mesh itself has epochs too; their keys seal the names of devices and folders.
//
// # Laws
//
//   - State is a function of the set: in which order, in which portions and how often statements arrive does not matter.
//   - A statement that is forged, altered, of another mesh or never possible does not get into the set, and all devices refuse the
//     same ones.
//   - The root can never be revoked and its statements always count. A device that is revoked never comes back.
//   - Revocations in causal order apply in order; of owners who revoke each other concurrently the senior wins.
//   - After a revocation, of the device's records count those up to the named heads, and of its statements the named ones.
//   - An epoch counts only if its recipients are exactly the readers of the mesh as its maker knew it, and nothing is sealed under an
//     epoch that somebody who is out may be able to open.
//   - What opens with the wrong mesh, folder, epoch or recipient, or to a root that does not match its commitment, does not count as
//     opened.
//
// docs/formats/roster.md has the format, its limits, and the evaluation in steps.
//
// # What it does not do
//
// It stores nothing but an identity's key file, sends nothing, starts no goroutine and reads no clock. Time in statements is a
// hint for people. Randomness is an argument, except in envelopes: crypto/hpke takes its own.
//
// # A mesh of two
//
//	roster, err := mesh.Create(root, ann, "laptop", rand, now)
//	folder, err := roster.AddFolder(ann, "Photos", now, rand)
//	err = roster.Admit(ann, bob.Device(), bob.HPKEPublic(), "phone", mesh.RoleMember, now)
//	// on bob's device
//	copy := mesh.NewRoster()
//	for _, raw := range roster.Statements() {
//		_, err = copy.Add(raw)
//	}
//	keys, err := copy.FolderKeys(bob, folder)
package mesh
