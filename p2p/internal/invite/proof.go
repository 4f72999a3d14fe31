package invite

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Proof is what both sides know when the secret is proved. Both compute the same confirmations from it only if every
// field is the same on both: the TLS keys of both ends (so nobody sits between them), mesh, role, way, and the
// guest's words.
type Proof struct {
	Guest, Inviter shoal.DeviceID
	Mesh           shoal.MeshID
	Role           mesh.Role
	Begin          *wire.Begin
	OfferPake      []byte
	GuestInfo      []byte // encoded wire.Guest
	Key            []byte // ticket: its secret; code: what the PAKE gave
}

// transcript hashes everything but the key, each part with its length.
func (p *Proof) transcript() [32]byte {
	h := blake3.NewDeriveKey(ctxTranscript)
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		_, _ = h.Write(n[:]) // a hash does not fail
		_, _ = h.Write(b)
	}
	part(p.Guest[:])
	part(p.Inviter[:])
	part(p.Mesh[:])
	part([]byte{byte(p.Role)})
	part(p.Begin.Invite)
	part(binary.BigEndian.AppendUint32(nil, p.Begin.Nameplate))
	part(p.Begin.Pake)
	part(p.OfferPake)
	part(p.GuestInfo)
	var out [32]byte
	copy(out[:], h.Sum(nil))
	return out
}

// Confirmation is the proof of one side: by says whose.
func (p *Proof) Confirmation(by Side) []byte {
	var key [32]byte
	blake3.DeriveKey(string(by), p.Key, key[:])
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic("invite: keyed hash refuses a key of 32 bytes") // no input can cause it
	}
	t := p.transcript()
	_, _ = h.Write(t[:])
	return h.Sum(nil)
}

// Confirms compares in constant time.
func (p *Proof) Confirms(by Side, proof []byte) bool {
	return subtle.ConstantTimeCompare(p.Confirmation(by), proof) == 1
}
