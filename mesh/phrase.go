package mesh

import (
	"fmt"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

const (
	phraseWords        = 24
	phraseEntropyBytes = 32
)

// Root is the key above all owners of a mesh: it signs the genesis statement, is a recipient of every epoch and can never be
// revoked. It exists on paper, as a recovery phrase, and in memory while it is used. Safe for concurrent use.
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
func RootFromPhrase(words string) (*Root, error) {
	list := strings.Fields(strings.ToLower(words))
	if len(list) != phraseWords {
		return nil, fmt.Errorf("%d words, want %d: %w", len(list), phraseWords, ErrPhrase)
	}
	for i, w := range list {
		if _, ok := bip39.GetWordIndex(w); !ok {
			return nil, fmt.Errorf("word %d is not in the word list: %w", i+1, ErrPhrase)
		}
	}
	entropy, err := bip39.EntropyFromMnemonic(strings.Join(list, " "))
	if err != nil || len(entropy) != phraseEntropyBytes {
		return nil, fmt.Errorf("checksum does not match, a word is wrong or out of place: %w", ErrPhrase)
	}
	keys, err := newKeyPair([32]byte(entropy), contextRootSigning, contextRootHPKE)
	if err != nil {
		return nil, fmt.Errorf("root from phrase: %w", err)
	}
	return &Root{keys}, nil
}
