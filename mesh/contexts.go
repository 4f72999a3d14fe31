package mesh

import "github.com/zeebo/blake3"

// The table of every BLAKE3 derive-key context that mesh keys come from. A context is used for one purpose only and never
// changes: another purpose, or another meaning of the same purpose, gets a line of its own. The tests compare this table with
// docs/formats/roster.md.
const (
	contextDeviceSigning = "shoal mesh v1 device signing key"    // device secret → Ed25519 seed
	contextDeviceHPKE    = "shoal mesh v1 device HPKE key"       // device secret → HPKE key material
	contextRootSigning   = "shoal mesh v1 root signing key"      // phrase entropy → Ed25519 seed
	contextRootHPKE      = "shoal mesh v1 root HPKE key"         // phrase entropy → HPKE key material
	contextStatement     = "shoal mesh v1 statement hash"        // statement body → its hash
	contextRootCommit    = "shoal mesh v1 epoch root commitment" // mesh ‖ folder ‖ epoch root → commitment
	contextLifeCommit    = "shoal mesh v1 folder life commitment"
	contextChainKey      = "shoal mesh v1 epoch chain key" // epoch root → key that seals the other roots
	contextNamesKey      = "shoal mesh v1 names key"       // root of an epoch of the mesh itself → key that seals names
	contextBoxCipher     = "shoal mesh v1 box cipher key"  // box key → XChaCha20-Poly1305 key
	contextBoxNonce      = "shoal mesh v1 box nonce key"   // box key → key of the hash that makes the nonce
	contextSeal          = "shoal mesh v1 block seal key"  // epoch root → Epoch.Seal
	contextRecord        = "shoal mesh v1 record key"      // epoch root → Epoch.Record
	contextNonce         = "shoal mesh v1 record nonce key"
	contextRendezvous    = "shoal mesh v1 rendezvous key"
	contextChunker       = "shoal mesh v1 chunker key" // folder life secret → FolderKeys.Chunker
	contextBlockID       = "shoal mesh v1 block ID key"
)

// derive returns 32 bytes of BLAKE3 in derive-key mode under context, over the concatenation of parts. Every part but the
// last has a fixed length at each place of use, so that no two inputs collide.
func derive(context string, parts ...[]byte) [32]byte {
	h := blake3.NewDeriveKey(context)
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}
