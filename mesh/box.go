package mesh

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"
)

// boxOverhead is what sealing adds: the nonce in front and the tag behind.
const boxOverhead = chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// sealBox seals plaintext under key with XChaCha20-Poly1305. The nonce is the first 24 bytes of a keyed hash over length ‖
// associated data ‖ plaintext, as for records: equal inputs give equal boxes and nothing else ever shares a nonce, so sealing
// needs no randomness.
func sealBox(key [32]byte, associated, plaintext []byte) []byte {
	nonce := boxNonce(key, associated, plaintext)
	return boxCipher(key).Seal(nonce, nonce, plaintext, associated)
}

// openBox opens what sealBox made with the same key and associated data.
func openBox(key [32]byte, associated, box []byte) ([]byte, error) {
	if len(box) < boxOverhead {
		return nil, malformed("box of %d bytes", len(box))
	}
	nonce, sealed := box[:chacha20poly1305.NonceSizeX], box[chacha20poly1305.NonceSizeX:]
	plaintext, err := boxCipher(key).Open(nil, nonce, sealed, associated)
	if err != nil {
		return nil, fmt.Errorf("open box: %w", err)
	}
	return plaintext, nil
}

func boxCipher(key [32]byte) cipher.AEAD {
	k := derive(contextBoxCipher, key[:])
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		panic("mesh: XChaCha20-Poly1305 refuses a key of 32 bytes: " + err.Error())
	}
	return aead
}

func boxNonce(key [32]byte, associated, plaintext []byte) []byte {
	nonceKey := derive(contextBoxNonce, key[:])
	h, err := blake3.NewKeyed(nonceKey[:])
	if err != nil {
		panic("mesh: BLAKE3 refuses a key of 32 bytes: " + err.Error())
	}
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(associated)))
	_, _ = h.Write(length[:])
	_, _ = h.Write(associated)
	_, _ = h.Write(plaintext)
	var sum [32]byte
	return h.Sum(sum[:0])[:chacha20poly1305.NonceSizeX]
}
