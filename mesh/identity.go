package mesh

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/shoalmesh/shoal/crashpoint"
)

// Identity is one device's secret: its Ed25519 key, which is its name and signs, and its HPKE key, which opens envelopes.
// Safe for concurrent use.
type Identity struct {
	keyPair
	secret [32]byte
}

// NewIdentity makes a device's secret from 32 bytes of rand. Equal bytes make equal identities.
func NewIdentity(rand io.Reader) (*Identity, error) {
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, fmt.Errorf("read randomness for device key: %w", err)
	}
	return identityFromSecret(secret)
}

func identityFromSecret(secret [32]byte) (*Identity, error) {
	keys, err := newKeyPair(secret, contextDeviceSigning, contextDeviceHPKE)
	if err != nil {
		return nil, err
	}
	return &Identity{keyPair: keys, secret: secret}, nil
}

// PrivateKey returns the Ed25519 key, for the transport's certificates. The caller must not change it.
func (i *Identity) PrivateKey() ed25519.PrivateKey { return i.signing }

// The key file is text, so that people recognise it: a title with the format's number, the secret in hex, and the device ID
// that must come out of it, which makes rot show as damage and not as another device.
const (
	identityTitle    = "shoal device key, format 1"
	identityMaxBytes = 1024
)

// Save writes the secret to path, readable by its owner only (mode 0600), atomically and durably: after a crash there is
// either the old file or the new one.
func (i *Identity) Save(path string) error {
	text := fmt.Sprintf("%s\nsecret %s\ndevice %s\n", identityTitle, hex.EncodeToString(i.secret[:]), i.device)
	if err := replaceFile(path, []byte(text)); err != nil {
		return fmt.Errorf("save device key: %w", err)
	}
	return nil
}

// LoadIdentity reads what Save wrote. Errors: fs.ErrNotExist, ErrDamagedIdentity, or what the disk says.
func LoadIdentity(path string) (*Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load device key: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, identityMaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("load device key: %w", err)
	}
	id, err := parseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("load device key %s: %w", path, err)
	}
	return id, nil
}

func parseIdentity(text []byte) (*Identity, error) {
	if len(text) > identityMaxBytes {
		return nil, fmt.Errorf("more than %d bytes: %w", identityMaxBytes, ErrDamagedIdentity)
	}
	lines := strings.Split(string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), "\n")
	if len(lines) != 4 || lines[0] != identityTitle || lines[3] != "" {
		return nil, fmt.Errorf("unknown form: %w", ErrDamagedIdentity)
	}
	digits, hasSecret := strings.CutPrefix(lines[1], "secret ")
	device, hasDevice := strings.CutPrefix(lines[2], "device ")
	raw, err := hex.DecodeString(digits)
	if !hasSecret || !hasDevice || err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("unknown form: %w", ErrDamagedIdentity)
	}
	id, err := identityFromSecret([32]byte(raw))
	if err != nil {
		return nil, err
	}
	if id.device.String() != device {
		return nil, fmt.Errorf("secret and device do not match: %w", ErrDamagedIdentity)
	}
	return id, nil
}

// replaceFile puts data at path through a temporary file in the same folder.
func replaceFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	crashpoint.Here("device key: written")
	if err == nil {
		err = tmp.Sync()
	}
	crashpoint.Here("device key: synced")
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	crashpoint.Here("device key: renamed")
	err = syncDir(dir)
	crashpoint.Here("device key: name synced")
	return err
}
