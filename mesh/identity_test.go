package mesh

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestIdentityComesBackFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.key")
	ann, bob := identity(t, "ann"), identity(t, "bob")
	for _, id := range []*Identity{bob, ann} { // the second save replaces
		if err := id.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadIdentity(path)
	if err != nil || got.Device() != ann.Device() || !bytes.Equal(got.HPKEPublic(), ann.HPKEPublic()) {
		t.Fatalf("loaded %v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFailedSaveLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "device.key")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := identity(t, "ann").Save(path); err == nil {
		t.Fatal("saved over a folder")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDamagedKeyFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.key")
	if err := identity(t, "ann").Save(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(whole)
	digit := "0"
	if at := strings.Index(text, "secret ") + len("secret "); text[at] == '0' {
		digit = "1"
	}
	for name, damaged := range map[string]string{
		"empty":          "",
		"cut short":      text[:len(text)/2],
		"another title":  strings.Replace(text, "format 1", "format 2", 1),
		"another digit":  strings.Replace(text, "secret "+text[strings.Index(text, "secret ")+7:][:1], "secret "+digit, 1),
		"no hex":         strings.Replace(text, "secret ", "secret x", 1),
		"more behind":    text + "more",
		"a file of junk": strings.Repeat("x", 2*identityMaxBytes),
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(path); !errors.Is(err, ErrDamagedIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadIdentity(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestSignatureHoldsForItsDeviceLabelAndMessageOnly(t *testing.T) {
	ann, bob := identity(t, "ann"), identity(t, "bob")
	sig := ann.Sign("head", []byte("message"))
	if !Verify(ann.Device(), "head", []byte("message"), sig) {
		t.Fatal("true signature refused")
	}
	if !ed25519.Verify(ann.PrivateKey().Public().(ed25519.PublicKey), []byte("shoal/head/v1\x00message"), sig) {
		t.Error("not over the bytes that the design names")
	}
	if Verify(bob.Device(), "head", []byte("message"), sig) || Verify(ann.Device(), "heads", []byte("message"), sig) ||
		Verify(ann.Device(), "head", []byte("massage"), sig) || Verify(ann.Device(), "head", []byte("message"), sig[1:]) {
		t.Error("false signature accepted")
	}
}

func TestShortRandomnessMakesNoIdentity(t *testing.T) {
	if _, err := NewIdentity(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("made an identity of 31 bytes")
	}
}

func TestPhraseBringsTheSameRootBack(t *testing.T) {
	entropy := make([]byte, 32)
	for i := range entropy {
		entropy[i] = byte(i * 7)
	}
	words, err := NewPhrase(entropy)
	if err != nil || len(strings.Fields(words)) != 24 {
		t.Fatalf("%q, %v", words, err)
	}
	one, err := RootFromPhrase(words)
	if err != nil {
		t.Fatal(err)
	}
	two, err := RootFromPhrase("  " + strings.ToUpper(strings.ReplaceAll(words, " ", "\n\t ")))
	if err != nil || one.Device() != two.Device() || !bytes.Equal(one.HPKEPublic(), two.HPKEPublic()) {
		t.Errorf("typed otherwise: %v", err)
	}
}

func TestWrongPhraseIsRefused(t *testing.T) {
	words, err := NewPhrase(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(words)
	swapped := append([]string{list[23]}, list[1:]...)
	for name, phrase := range map[string]string{
		"empty":        "",
		"23 words":     strings.Join(list[:23], " "),
		"no such word": strings.Join(append([]string{"shoal"}, list[1:]...), " "),
		"wrong place":  strings.Join(append(swapped[:23], "abandon"), " "),
	} {
		if _, err := RootFromPhrase(phrase); !errors.Is(err, ErrPhrase) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "shoal ") {
			t.Errorf("%s: the error tells the words: %v", name, err)
		}
	}
	if _, err := NewPhrase(make([]byte, 16)); !errors.Is(err, ErrPhrase) {
		t.Errorf("short entropy: %v", err)
	}
}

func TestRolesHaveNames(t *testing.T) {
	for _, r := range []Role{RoleOwner, RoleMember, RoleReader, RoleVault} {
		if got, err := ParseRole(r.String()); err != nil || got != r || r.Validate() != nil {
			t.Errorf("%s: %v, %v", r, got, err)
		}
	}
	if _, err := ParseRole("admin"); err == nil || Role(0).Validate() == nil || Role(5).Validate() == nil {
		t.Error("no role accepted")
	}
}
