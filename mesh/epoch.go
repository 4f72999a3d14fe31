package mesh

import (
	"encoding/binary"
	"slices"

	"github.com/shoalmesh/shoal"
)

const (
	rootBytes       = 32
	lifeBytes       = 32
	chainEntryBytes = 32 + rootBytes        // epoch ID, root
	envelopeBytes   = 1120 + rootBytes + 16 // encapsulated MLKEM768-X25519 key, sealed root, tag
)

// meshScope is the "folder" of the mesh's own epochs, whose keys seal names.
var meshScope shoal.FolderID

// epochRoot is the secret from which all keys of one epoch derive.
type epochRoot [rootBytes]byte

func (k epochRoot) commitment(m shoal.MeshID, f shoal.FolderID) [32]byte {
	return derive(contextRootCommit, m[:], f[:], k[:])
}

func (k epochRoot) keys(id shoal.EpochID, number uint64) Epoch {
	return Epoch{
		ID: id, Number: number,
		Seal: derive(contextSeal, k[:]), Record: derive(contextRecord, k[:]),
		Nonce: derive(contextNonce, k[:]), Rendezvous: derive(contextRendezvous, k[:]),
	}
}

// lifeSecret is what the keys derive from that stay the same for a folder's life. Every epoch's chain carries it.
type lifeSecret [lifeBytes]byte

func (l lifeSecret) commitment(m shoal.MeshID) [32]byte { return derive(contextLifeCommit, m[:], l[:]) }

// chain is what an epoch's statement carries sealed under its root: who has the root has these too.
type chain struct {
	life  *lifeSecret // nil for the mesh itself
	roots []chainedRoot
}

type chainedRoot struct {
	epoch shoal.EpochID
	root  epochRoot
}

func (c *chain) seal(root epochRoot, m shoal.MeshID, f shoal.FolderID, number uint64) []byte {
	var plaintext []byte
	if c.life != nil {
		plaintext = append(plaintext, c.life[:]...)
	}
	for _, e := range c.roots {
		plaintext = append(plaintext, e.epoch[:]...)
		plaintext = append(plaintext, e.root[:]...)
	}
	return sealBox(derive(contextChainKey, root[:]), chainContext(m, f, number), plaintext)
}

func openChain(root epochRoot, m shoal.MeshID, e *newEpoch) (chain, error) {
	var c chain
	plaintext, err := openBox(derive(contextChainKey, root[:]), chainContext(m, e.folder, e.number), e.chain)
	if err != nil {
		return c, err
	}
	if e.folder != meshScope {
		if len(plaintext) < lifeBytes {
			return c, malformed("chain without life secret")
		}
		life := lifeSecret(plaintext[:lifeBytes])
		c.life, plaintext = &life, plaintext[lifeBytes:]
	}
	if len(plaintext)%chainEntryBytes != 0 {
		return c, malformed("chain of %d bytes", len(plaintext))
	}
	for entry := range slices.Chunk(plaintext, chainEntryBytes) {
		c.roots = append(c.roots, chainedRoot{epoch: shoal.EpochID(entry[:32]), root: epochRoot(entry[32:])})
	}
	return c, nil
}

func chainContext(m shoal.MeshID, f shoal.FolderID, number uint64) []byte {
	b := append([]byte("shoal/chain/v1\x00"), m[:]...)
	b = append(b, f[:]...)
	return binary.BigEndian.AppendUint64(b, number)
}

// envelopeInfo binds an envelope to one mesh, folder, epoch and recipient: it opens as nothing else.
func envelopeInfo(m shoal.MeshID, f shoal.FolderID, e shoal.EpochID, recipient shoal.DeviceID) []byte {
	b := append([]byte("shoal/envelope/v1\x00"), m[:]...)
	b = append(b, f[:]...)
	b = append(b, e[:]...)
	return append(b, recipient[:]...)
}
