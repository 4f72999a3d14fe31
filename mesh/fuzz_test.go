package mesh

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func FuzzDecodeStatement(f *testing.F) {
	for _, v := range readVectors(f).Statements {
		f.Add([]byte(v.Hex))
	}
	for _, v := range readInvalid(f) {
		f.Add([]byte(v.Hex))
	}
	f.Add([]byte{formatByte})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeStatement(raw)
		if err != nil {
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("accepted what is not valid: %v", err)
		}
		body, err := s.encodeBody()
		if err != nil || !bytes.Equal(body, raw[1+signatureBytes:]) {
			t.Fatalf("encodes to %x, %v", body, err)
		}
		_ = s.signatureHolds()
		_ = s.names()
	})
}

func FuzzAddStatementToRoster(f *testing.F) {
	vectors := readVectors(f)
	for _, v := range vectors.Statements {
		f.Add([]byte(v.Hex)[1+signatureBytes:])
	}
	for _, v := range readInvalid(f) {
		if len(v.Hex) > 1+signatureBytes {
			f.Add([]byte(v.Hex)[1+signatureBytes:])
		}
	}
	vectors.Statements = vectors.Statements[:4] // the root and ann
	signers := vectors.signers(f)[:1]
	f.Fuzz(func(t *testing.T, body []byte) {
		r := vectors.roster(t)
		for _, by := range signers { // a signature that holds, whoever claims to be the signer
			_, _ = r.Add(rawBody(by, bytes.Clone(body)))
		}
		_ = r.State()
	})
}

func FuzzParseIdentity(f *testing.F) {
	f.Add([]byte(identityTitle + "\nsecret 00\ndevice x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := parseIdentity(text); err == nil && id.Device().Validate() != nil {
			t.Fatal("an identity without a device")
		}
	})
}

func FuzzRootFromPhrase(f *testing.F) {
	for _, entropy := range [][]byte{make([]byte, 32), bytes.Repeat([]byte{7}, 32)} {
		words, err := NewPhrase(entropy)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(words)
		f.Add(strings.ToUpper(words) + "  ")
	}
	f.Add("")
	f.Add(strings.Repeat("abandon ", 24))
	f.Fuzz(func(t *testing.T, words string) {
		r, err := RootFromPhrase(words)
		if err != nil {
			if !errors.Is(err, ErrPhrase) {
				t.Fatalf("error %v is not ErrPhrase", err)
			}
			return
		}
		again, err := RootFromPhrase(strings.ToUpper(strings.Join(strings.Fields(words), "\t")))
		if err != nil || again.device != r.device {
			t.Fatalf("the same words make another root: %v", err)
		}
	})
}
