package mesh

import "encoding/hex"

// Hash names a statement: BLAKE3 over its body as it travelled. It compares with == and works as a map key. The hash of the
// genesis statement is the mesh ID, that of an epoch statement the epoch ID.
type Hash [32]byte

// String returns the 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }
