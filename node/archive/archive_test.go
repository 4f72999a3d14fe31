package archive

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

func manifest() *Manifest {
	return &Manifest{Mesh: shoal.MeshID{7}.String(), Device: shoal.DeviceID{8}.String(), Made: time.Unix(1e9, 0).UTC()}
}

func exported(t testing.TB) (dir string, raw []byte) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"device.key": "a key", "roster": "a roster", "index.db": strings.Repeat("pages", 100000), "packs/0001.pack": strings.Repeat("blocks", 50000), "packs/index": "where",
		"vault.json": "{}", "control.sock": "not ours", "tenant.json": "not to be moved", "tenants/x/roster": "another's",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	var b bytes.Buffer
	must(t, Write(t.Context(), &b, dir, manifest()))
	return dir, b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasExportedIsThereAfterTheImportAndNothingElse(t *testing.T) {
	from, raw := exported(t)
	to := t.TempDir()
	m, err := Read(t.Context(), bytes.NewReader(raw), int64(len(raw)), to)
	must(t, err)
	if m.Mesh != manifest().Mesh || m.Device != manifest().Device || !m.Made.Equal(manifest().Made) || len(m.Files) != 6 {
		t.Errorf("%+v", m)
	}
	for _, f := range m.Files {
		a, err := os.ReadFile(filepath.Join(from, f.Name))
		must(t, err)
		b, err := os.ReadFile(filepath.Join(to, f.Name))
		must(t, err)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", f.Name)
		}
	}
	for _, name := range []string{"control.sock", "tenant.json", "tenants"} {
		if _, err := os.Stat(filepath.Join(to, name)); err == nil {
			t.Errorf("%s was moved, too", name)
		}
	}
}

// Whatever is changed or cut off is noticed. The last blocks of a tar are padding.
func TestADamagedArchiveIsRefused(t *testing.T) {
	_, raw := exported(t)
	for at := 0; at < len(raw)-3*512; at += 1 + len(raw)/60 {
		bad := bytes.Clone(raw)
		bad[at] ^= 0x40
		if _, err := Read(t.Context(), bytes.NewReader(bad), int64(len(bad)), t.TempDir()); err == nil && !inPadding(raw, at) {
			t.Errorf("a flipped bit at %d of %d is not noticed", at, len(raw))
		}
		if _, err := Read(t.Context(), bytes.NewReader(raw[:at]), int64(at), t.TempDir()); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut off at %d: %v", at, err)
		}
	}
}

// inPadding tells whether a byte of a tar is zero padding, which means nothing.
func inPadding(raw []byte, at int) bool { return raw[at] == 0 }

func TestHostileNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		"../device.key", "/etc/passwd", "packs/../../x", "packs/.hidden", "packs/a/b", "control.sock", "tenant.json", "packs", "packs/", `packs\..\x`, "roster\x00", "",
		"packs/" + strings.Repeat("x", 65),
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o600, Typeflag: tar.TypeReg}); err != nil {
			continue // tar itself can't hold it
		}
		_, _ = w.Write([]byte("x"))
		must(t, w.Close())
		dir := t.TempDir()
		if _, err := Read(t.Context(), &b, int64(b.Len()), dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", name, err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%q: the folder holds %v", name, list)
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "roster", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}))
	must(t, w.Close())
	if _, err := Read(t.Context(), &b, int64(b.Len()), t.TempDir()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a symlink: %v", err)
	}
}

func TestManifestVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/manifests.txt")
	must(t, err)
	n := 0
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		want, doc, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		n++
		if _, err := parseManifest([]byte(doc)); (err == nil) != (want == "ok") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if n < 5 {
		t.Errorf("%d vectors", n)
	}
}

// FuzzManifest: a manifest is refused, or is valid and the same after encoding.
func FuzzManifest(f *testing.F) {
	_, raw := exported(f)
	if i := bytes.Index(raw, []byte(`{"version"`)); i > 0 {
		f.Add(bytes.TrimRight(raw[i:], "\x00"))
	}
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if strings.Contains(file.Name, "..") && !strings.HasPrefix(file.Name, "packs/") || filepath.IsAbs(file.Name) || file.Size < 0 {
				t.Fatalf("%+v", file)
			}
		}
		again, err := json.Marshal(&m)
		if err != nil {
			t.Skip("a time that JSON can't hold")
		}
		if _, err := parseManifest(again); err != nil {
			t.Fatal(err)
		}
	})
}
