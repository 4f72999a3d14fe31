package keeper

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/block/s3store/s3test"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

func TestMain(m *testing.M) { os.Exit(s3test.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func objectsOf(t *testing.T) *s3store.Objects {
	t.Helper()
	target, err := s3store.ParseURL(s3test.NewLine(t).Bucket(t))
	must(t, err)
	s, err := s3store.Open(t.Context(), s3store.Config{Target: target, Dir: filepath.Join(t.TempDir(), "blocks"), Rand: rand.Reader, Now: time.Now})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s.Objects()
}

func TestASlotHasOneHolder(t *testing.T) {
	objects := objectsOf(t)
	now := time.Unix(1_800_000_000, 0)
	seen := map[string]watched{}
	take := func(mine string) *holder {
		h, err := claim(t.Context(), objects, "dev", mine, seen, now)
		must(t, err)
		return h
	}
	a := take("")
	if a == nil {
		t.Fatal("a slot that nobody holds is not free")
	}
	if take("") != nil || take("somebody else") != nil {
		t.Error("a slot was taken from its holder")
	}
	now = now.Add(holdTime - time.Second)
	must(t, a.renew(t.Context()))
	now = now.Add(2 * time.Second)
	if take("") != nil {
		t.Error("a slot was taken that was renewed a moment ago")
	}
	now = now.Add(holdTime)
	b := take("")
	if b == nil {
		t.Fatal("a slot that was not renewed for long is not free")
	}
	// The first was only slow. It must not go on.
	if err := a.renew(t.Context()); err == nil {
		t.Error("two hold one slot")
	} else if _, ok := errors.AsType[*control.Error](err); !ok {
		t.Errorf("who lost its slot is told %v", err)
	}
	must(t, b.release(t.Context()))
	c := take("")
	if c == nil {
		t.Fatal("a slot that was given back is not free at once")
	}
	if d := take(c.now.Holder); d == nil { // the same data folder again
		t.Error("who held the slot in an earlier life must wait")
	}
}

func TestASlotIsReadOrRefused(t *testing.T) {
	id, err := mesh.NewIdentity(rand.Reader)
	must(t, err)
	m := shoal.MeshID{1}
	good := identity{Format: 1, Device: id.Device().String(), Mesh: hex.EncodeToString(m[:]), Name: "v", Key: "key", Seed: make([]byte, 32)}
	for name, c := range map[string]struct {
		change func(*identity)
		ok     bool
	}{
		"whole":             {func(*identity) {}, true},
		"without a seed":    {func(s *identity) { s.Seed = nil }, true},
		"of another format": {func(s *identity) { s.Format = 2 }, false},
		"of no device":      {func(s *identity) { s.Device = "x" }, false},
		"of no mesh":        {func(s *identity) { s.Mesh = "00" }, false},
		"without a key":     {func(s *identity) { s.Key = "" }, false},
		"with half a seed":  {func(s *identity) { s.Seed = make([]byte, 16) }, false},
		"of too many bytes": {func(s *identity) { s.Name = strings.Repeat("x", maxSlotBytes) }, false},
	} {
		s := good
		c.change(&s)
		raw, err := json.Marshal(s)
		must(t, err)
		if _, err := decodeSlot(raw); (err == nil) != c.ok {
			t.Errorf("a slot %s: %v", name, err)
		}
	}
}

func FuzzDecodeSlot(f *testing.F) {
	f.Add([]byte(`{"format":1,"device":"x","mesh":"00","key":"k"}`))
	f.Add([]byte(`{"format":1,"device":"12D3KooWCXhd7QaT5N7Hs1KZ2RhQBmSKws2RmFxQBdnSQ3kpXASF","mesh":"` + strings.Repeat("00", 32) + `","key":"k","seed":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := decodeSlot(raw)
		if err != nil {
			return
		}
		again, err := json.Marshal(s)
		must(t, err)
		if len(again) > maxSlotBytes {
			return // escapes are longer
		}
		if _, err := decodeSlot(again); err != nil {
			t.Fatalf("what was read once is refused: %v", err)
		}
	})
}

func TestTheCacheOfABucketIsToldByItsPlace(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	folder := func(url string) string {
		dir, err := CacheFolder(url)
		must(t, err)
		return dir
	}
	a := folder("https://h/bucket/p")
	if a != folder("https://h/bucket/p?region=x") || a == folder("https://h/bucket/q") || a == folder("https://h2/bucket/p") || a == folder("https://h/bucket") {
		t.Error("one place has two folders, or two places one")
	}
	if _, err := CacheFolder("https://me:secret@h/bucket"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a URL with credentials: %v", err)
	}
}

func TestADataFolderIsOfOneKind(t *testing.T) {
	dir := t.TempDir()
	open := func(dir, url string) error { return checkFolder(&Config{Data: dir, Bucket: url}) }
	must(t, open(dir, ""))
	must(t, open(dir, "https://h/bucket"))
	must(t, open(dir, "https://h/bucket"))
	if open(dir, "") == nil || open(dir, "https://h/other") == nil {
		t.Error("the cache of a bucket is taken for another's, or for a vault's on disk")
	}
	disk := t.TempDir()
	must(t, os.WriteFile(filepath.Join(disk, keyFile), []byte("x"), 0o600))
	if open(disk, "https://h/bucket") == nil {
		t.Error("a device's home is taken for a cache")
	}
	several := t.TempDir()
	must(t, os.Mkdir(filepath.Join(several, tenantsFolder), 0o700))
	if open(several, "https://h/bucket") == nil {
		t.Error("the folder of a vault of several meshes is taken for a cache")
	}
}
