// Package archive is the file with which a tenant of a vault moves house: a tar of everything in its folder, and a manifest of hashes at its
// end. It knows names and bytes, not what they mean. The page is docs/formats/tenant-archive.md.
package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// Version is that of the format.
const Version = 1

// Bounds.
const (
	maxFiles    = 1 << 20
	maxManifest = 256 << 20
)

// manifestName is the last entry.
const manifestName = "manifest.json"

// ErrDamaged: the file is not what an export wrote.
var ErrDamaged = errors.New("the archive is damaged")

// names are what an archive may hold: the files of a tenant, and its packs.
var names = regexp.MustCompile(`^(device\.key|roster|index\.db|vault\.json|settings\.json|dht\.seed|packs/[A-Za-z0-9][A-Za-z0-9._-]{0,63})$`)

// File is one entry, as the manifest knows it.
type File struct {
	Name string `json:"name"` // with slashes, relative to the tenant's folder
	Size int64  `json:"size"`
	Hash string `json:"blake3"` // 32 bytes in hex
}

// Manifest says what an archive holds.
type Manifest struct {
	Version int       `json:"version"`
	Mesh    string    `json:"mesh"`   // shoal.MeshID as text
	Device  string    `json:"device"` // shoal.DeviceID as text: the vault, as that mesh knows it
	Made    time.Time `json:"made"`
	Files   []File    `json:"files"` // in the order of the entries
}

// Validate refuses what no export writes.
func (m *Manifest) Validate() error {
	if m.Version != Version {
		return fmt.Errorf("version %d of the archive, this program knows %d: %w", m.Version, Version, ErrDamaged)
	}
	if raw, err := hex.DecodeString(m.Mesh); err != nil || len(raw) != len(shoal.MeshID{}) {
		return fmt.Errorf("mesh %q: %w", m.Mesh, ErrDamaged)
	}
	if _, err := shoal.ParseDeviceID(m.Device); err != nil {
		return fmt.Errorf("device %q: %w", m.Device, ErrDamaged)
	}
	if len(m.Files) > maxFiles {
		return fmt.Errorf("%d files: %w", len(m.Files), ErrDamaged)
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		hash, err := hex.DecodeString(f.Hash)
		if !names.MatchString(f.Name) || seen[f.Name] || f.Size < 0 || err != nil || len(hash) != 32 {
			return fmt.Errorf("file %q: %w", f.Name, ErrDamaged)
		}
		seen[f.Name] = true
	}
	return nil
}

// parseManifest reads a manifest.
func parseManifest(raw []byte) (m Manifest, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, more := dec.Token(); !errors.Is(more, io.EOF) {
		return m, fmt.Errorf("something follows the manifest: %w", ErrDamaged)
	}
	return m, m.Validate()
}

// Write writes the tenant's folder dir, which nobody may change meanwhile. Mesh, Device and Made of the manifest are the caller's; the rest is filled in. What is in the folder and
// belongs to no archive is left out.
func Write(ctx context.Context, w io.Writer, dir string, m *Manifest) error {
	m.Version, m.Files = Version, []File{}
	out := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case e.IsDir() && rel != "." && rel != "packs":
			return fs.SkipDir
		case !e.Type().IsRegular() || !names.MatchString(rel):
			return nil
		}
		f, err := add(ctx, out, name, rel)
		m.Files = append(m.Files, f)
		return err
	})
	if err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if err := m.Validate(); err != nil {
		return err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: manifestName, Size: int64(len(raw)), Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	if _, err := out.Write(raw); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return out.Close()
}

func add(ctx context.Context, out *tar.Writer, name, rel string) (File, error) {
	in, err := os.Open(name)
	if err != nil {
		return File{}, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return File{}, err
	}
	f := File{Name: rel, Size: info.Size()}
	if err := out.WriteHeader(&tar.Header{Name: rel, Size: f.Size, Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return f, err
	}
	hash := blake3.New()
	if _, err := io.Copy(io.MultiWriter(out, hash), io.LimitReader(&patient{ctx, in}, f.Size)); err != nil {
		return f, err
	}
	f.Hash = hex.EncodeToString(hash.Sum(nil))
	return f, nil
}

// Read unpacks an archive of so many bytes into dir, which must be empty, and checks every byte. After an error the folder holds some of it: remove it.
// Errors: ErrDamaged; the disk's.
func Read(ctx context.Context, r io.Reader, size int64, dir string) (Manifest, error) {
	if err := os.Mkdir(filepath.Join(dir, "packs"), 0o700); err != nil {
		return Manifest{}, err
	}
	in := tar.NewReader(&patient{ctx, r})
	var got []File
	for {
		h, err := in.Next()
		if err != nil {
			return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if h.Typeflag != tar.TypeReg || h.Size < 0 || h.Size > size || len(got) >= maxFiles {
			return Manifest{}, fmt.Errorf("entry %q: %w", h.Name, ErrDamaged)
		}
		if h.Name == manifestName {
			m, err := readManifest(in, h.Size)
			if err == nil {
				err = m.holds(got)
			}
			return m, err
		}
		f, err := unpack(in, dir, h)
		if err != nil {
			return Manifest{}, err
		}
		got = append(got, f)
	}
}

func readManifest(in io.Reader, size int64) (Manifest, error) {
	if size > maxManifest {
		return Manifest{}, fmt.Errorf("manifest of %d bytes: %w", size, ErrDamaged)
	}
	raw, err := io.ReadAll(io.LimitReader(in, size))
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return parseManifest(raw)
}

// unpack writes one entry. Its name is one of few, so that nothing is written elsewhere, and nothing twice.
func unpack(in io.Reader, dir string, h *tar.Header) (File, error) {
	if !names.MatchString(h.Name) || path.Clean(h.Name) != h.Name {
		return File{}, fmt.Errorf("entry %q: %w", h.Name, ErrDamaged)
	}
	out, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(h.Name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return File{}, fmt.Errorf("entry %q is there twice: %w", h.Name, ErrDamaged)
	}
	if err != nil {
		return File{}, err
	}
	hash := blake3.New()
	n, err := io.Copy(io.MultiWriter(out, hash), in)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	err = errors.Join(err, out.Sync(), out.Close())
	return File{Name: h.Name, Size: n, Hash: hex.EncodeToString(hash.Sum(nil))}, err
}

// holds compares what was unpacked with the manifest.
func (m *Manifest) holds(got []File) error {
	if len(got) != len(m.Files) {
		return fmt.Errorf("%d files, the manifest has %d: %w", len(got), len(m.Files), ErrDamaged)
	}
	for i, f := range got {
		if f != m.Files[i] {
			return fmt.Errorf("file %q is not the one that was exported: %w", f.Name, ErrDamaged)
		}
	}
	return nil
}

// patient is a reader that ends with a context.
type patient struct {
	ctx context.Context // of one Write or Read
	r   io.Reader
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}
