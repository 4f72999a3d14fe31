package neighbours

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

func record(t *testing.T) *address.Record {
	t.Helper()
	id, err := mesh.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ma.NewMultiaddr("/ip4/127.0.0.1/tcp/4001")
	if err != nil {
		t.Fatal(err)
	}
	r, err := address.Sign(id, 1, []ma.Multiaddr{a})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestHostsOfOneUserFindEachOther(t *testing.T) {
	t.Parallel()
	dirs := []string{filepath.Join(t.TempDir(), "deep", "shoal"), filepath.Join(t.TempDir(), "shoal")}
	one, two := New(dirs[:1]), New(dirs)
	r := record(t)
	two.Show(map[uint32]bool{7: true}) // before its addresses are known
	two.Publish(r)
	if got, ok := one.Find(r.Device); !ok || got.TimeMS != r.TimeMS {
		t.Fatalf("%v, %v", got, ok)
	}
	if got := one.Inviters(7); len(got) != 1 || got[0].Device != r.Device || !one.PlateTaken(7) {
		t.Fatalf("inviters %v", got)
	}
	if len(one.Inviters(70)) != 0 || one.PlateTaken(70) {
		t.Fatal("one nameplate is taken for another")
	}
	two.Show(map[uint32]bool{70: true})
	if len(one.Inviters(7)) != 0 || len(one.Inviters(70)) != 1 {
		t.Fatal("old nameplates stay")
	}
	two.Clear()
	if _, ok := one.Find(r.Device); ok || one.PlateTaken(70) {
		t.Fatal("a host that has ended is still found")
	}
	for _, d := range dirs {
		if left, err := os.ReadDir(d); err != nil || len(left) != 0 {
			t.Errorf("left in %s: %v, %v", d, left, err)
		}
	}
}

func TestFoldersThatOthersMayUseAreNotUsed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("access lists there")
	}
	base := t.TempDir()
	open, target, link := filepath.Join(base, "open"), filepath.Join(base, "target"), filepath.Join(base, "link")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	r := record(t)
	for _, dir := range []string{open, link, "/dev/null/shoal"} {
		b := New([]string{dir})
		b.Publish(r)
		if _, ok := b.Find(r.Device); ok {
			t.Errorf("%s is used", dir)
		}
	}
}

func TestForeignAndOldFilesAreIgnored(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "shoal")
	b := New([]string{dir})
	mine, other := record(t), record(t)
	b.Publish(mine)
	raw, err := address.Encode(other)
	if err != nil {
		t.Fatal(err)
	}
	// A record under another device's name, and one that says nothing.
	for name, content := range map[string][]byte{deviceNote(mine.Device): raw, plateNote(7, mine.Device): raw, "plate-7-x": []byte("x")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, ok := b.Find(mine.Device); ok {
		t.Errorf("found %v", r)
	}
	if r := b.Inviters(7); len(r) != 0 {
		t.Errorf("inviters %v", r)
	}
	old := filepath.Join(dir, deviceNote(other.Device))
	if err := os.WriteFile(old, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * noteAge)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Find(other.Device); ok {
		t.Error("an old file counts")
	}
	plate := filepath.Join(dir, plateNote(8, other.Device))
	if err := os.WriteFile(plate, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if !b.PlateTaken(8) || len(b.Inviters(8)) != 1 {
		t.Error("a fresh nameplate does not count")
	}
	while := time.Now().Add(-plateAge - time.Minute)
	if err := os.Chtimes(plate, while, while); err != nil {
		t.Fatal(err)
	}
	if b.PlateTaken(8) || len(b.Inviters(8)) != 0 {
		t.Error("a nameplate of a crashed host counts")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Run(ctx, slog.New(slog.DiscardHandler))
	if _, err := os.Lstat(old); !os.IsNotExist(err) {
		t.Error("an old file stays")
	}
}
