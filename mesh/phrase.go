package mesh

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tyler-smith/go-bip39"
)

const (
	phraseWords        = 24
	phraseEntropyBytes = 32
	phraseWordBits     = 11
	phraseWordBytes    = 8 // the longest word of the list

	// MaxPhraseBytes is the most that a phrase takes with generous space between its words: who reads one may stop there.
	MaxPhraseBytes = 1 << 10
)

// Root is the key above all owners of a mesh: it signs the genesis statement, is a recipient of every epoch and can never be
// revoked. It exists on paper, as a recovery phrase, and in memory while it is used. Safe for concurrent use, but for Erase.
type Root struct{ keyPair }

// NewPhrase turns 32 random bytes into the 24 words of BIP 39 (English list, single spaces) that stand for a root.
func NewPhrase(entropy []byte) (string, error) {
	if len(entropy) != phraseEntropyBytes {
		return "", fmt.Errorf("entropy of %d bytes, want %d: %w", len(entropy), phraseEntropyBytes, ErrPhrase)
	}
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("make recovery phrase: %w", err)
	}
	return words, nil
}

// RootFromPhrase returns the root that a phrase stands for. Case and the amount of space between words do not matter. An
// error wraps ErrPhrase and names the first word that is not in the list, by position and never by its text.
//
// The keys derive from the 256 bits that the words encode, not from BIP 39's stretched seed: there is no passphrase, and 256
// random bits need no stretching.
func RootFromPhrase(words string) (*Root, error) { return RootFromWords([]byte(words)) }

// RootFromWords is RootFromPhrase for who wants no trace to stay: nothing keeps a copy of the words, so a caller who overwrites its own
// has overwritten them all.
func RootFromWords(words []byte) (*Root, error) {
	entropy, err := phraseEntropy(words)
	if err != nil {
		return nil, err
	}
	defer clear(entropy[:])
	keys, err := newKeyPair(entropy, contextRootSigning, contextRootHPKE)
	if err != nil {
		return nil, fmt.Errorf("root from phrase: %w", err)
	}
	return &Root{keys}, nil
}

// phraseEntropy decodes words as BIP 39 does: 11 bits each, 256 of entropy and then 8 of its SHA-256. It makes no strings of them,
// which could not be overwritten.
func phraseEntropy(words []byte) (entropy [phraseEntropyBytes]byte, err error) {
	list := bytes.Fields(words)
	if len(list) != phraseWords {
		return entropy, fmt.Errorf("%d words, want %d: %w", len(list), phraseWords, ErrPhrase)
	}
	var bits [phraseEntropyBytes + 1]byte
	defer clear(bits[:])
	for i, w := range list {
		n, known := phraseWord(w)
		if !known {
			return entropy, fmt.Errorf("word %d is not in the word list: %w", i+1, ErrPhrase)
		}
		for b := range phraseWordBits {
			at := i*phraseWordBits + b
			bits[at/8] |= byte(n>>(phraseWordBits-1-b)&1) << (7 - at%8)
		}
	}
	sum := sha256.Sum256(bits[:phraseEntropyBytes])
	if sum[0] != bits[phraseEntropyBytes] {
		return entropy, fmt.Errorf("checksum does not match, a word is wrong or out of place: %w", ErrPhrase)
	}
	copy(entropy[:], bits[:])
	return entropy, nil
}

// phraseWord returns the number of a word in the list, in whatever case it is written.
func phraseWord(word []byte) (n int, known bool) {
	if len(word) > phraseWordBytes {
		return 0, false
	}
	var lower [phraseWordBytes]byte
	defer clear(lower[:])
	for i, c := range word {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return slices.BinarySearchFunc(bip39.GetWordList(), lower[:len(word)], func(w string, b []byte) int { return bytes.Compare([]byte(w), b) })
}

// Erase overwrites the signing key and lets go of the other: the root must not be used after it. What the libraries made of the
// keys inside is out of reach and goes with the memory.
func (r *Root) Erase() {
	clear(r.signing)
	r.sealing = nil
}
