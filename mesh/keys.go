package mesh

import (
	"crypto/ed25519"
	"crypto/hpke"
	"fmt"

	"github.com/shoalmesh/shoal"
)

// hpkePublicBytes is the size of an MLKEM768-X25519 public key: 1,184 bytes of ML-KEM-768 and 32 of X25519.
const hpkePublicBytes = 1216

// keyPair is what an identity and a root have in common: a signing key and an HPKE key, both derived from one secret of 32
// bytes. It is immutable and safe for concurrent use.
type keyPair struct {
	signing ed25519.PrivateKey
	sealing hpke.PrivateKey
	device  shoal.DeviceID
}

func newKeyPair(secret [32]byte, signingContext, hpkeContext string) (keyPair, error) {
	seed := derive(signingContext, secret[:])
	ikm := derive(hpkeContext, secret[:])
	sealing, err := hpke.MLKEM768X25519().DeriveKeyPair(ikm[:])
	if err != nil {
		return keyPair{}, fmt.Errorf("derive HPKE key: %w", err)
	}
	k := keyPair{signing: ed25519.NewKeyFromSeed(seed[:]), sealing: sealing}
	copy(k.device[:], k.signing.Public().(ed25519.PublicKey))
	return k, nil
}

// Device returns the public half of the signing key.
func (k *keyPair) Device() shoal.DeviceID { return k.device }

// HPKEPublic returns the public HPKE key, 1,216 bytes. The caller owns the slice.
func (k *keyPair) HPKEPublic() []byte { return k.sealing.PublicKey().Bytes() }

// Sign signs msg for one purpose: the signature is over "shoal/<label>/v1\0" followed by msg, so that a signature made for
// one purpose never passes for another.
func (k *keyPair) Sign(label string, msg []byte) []byte {
	return ed25519.Sign(k.signing, signed(label, msg))
}

func (k *keyPair) openEnvelope(info, sealed []byte) ([]byte, error) {
	return hpke.Open(k.sealing, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
}

// sealEnvelope seals plaintext to the holder of an HPKE key. info is not secret and must be given again to open.
func sealEnvelope(public, info, plaintext []byte) ([]byte, error) {
	pk, err := parseHPKE(public)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plaintext)
}

func parseHPKE(public []byte) (hpke.PublicKey, error) {
	if len(public) != hpkePublicBytes {
		return nil, fmt.Errorf("HPKE key of %d bytes: %w", len(public), shoal.ErrInvalid)
	}
	pk, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("HPKE key: %w: %w", shoal.ErrInvalid, err)
	}
	return pk, nil
}

// Verify tells whether sig is what the device's Sign makes of the same label and msg. Safe for concurrent use.
func Verify(d shoal.DeviceID, label string, msg, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(d[:], signed(label, msg), sig)
}

func signed(label string, msg []byte) []byte {
	b := make([]byte, 0, len("shoal/")+len(label)+len("/v1\x00")+len(msg))
	b = append(b, "shoal/"...)
	b = append(b, label...)
	b = append(b, "/v1\x00"...)
	return append(b, msg...)
}
