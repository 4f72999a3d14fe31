//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal/block/s3store/s3test"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// bucketVault makes a vault in a bucket that does not run yet.
func bucketVault(t *testing.T, name, url string) *device {
	t.Helper()
	return newVault(t, name, func(d *lab.Device) { d.Flags = append(d.Flags, "--s3", url) })
}

// keptInBucket is keptIn with a vault in a bucket. It returns the words of the mesh and the directory in which the server keeps the bucket, too.
func keptInBucket(t *testing.T) (a, b, v *device, words, dir string) {
	t.Helper()
	line := s3test.NewLine(t)
	url := line.Bucket(t)
	a, b, v = newDevice(t, markDevice), newDevice(t, "ben"), bucketVault(t, "vera", url)
	paper := filepath.Join(tempDir(t), "words")
	a.up(t, "--recovery-out", paper)
	join(t, a, v)
	join(t, a, b)
	a.wait(t)
	b.wait(t)
	b.stop(t)
	text, err := os.ReadFile(paper)
	check(t, err)
	return a, b, v, strings.TrimSpace(string(text)), line.Dir(t, url)
}

// fillMarked puts files of all sizes, and the marks, into a device's folder.
func fillMarked(t *testing.T, a *device) {
	t.Helper()
	d := a.at(t)
	d.write(markFolder+"/"+markFile+".txt", markContent+"\n")
	d.write("deep/"+markFolder+"/empty", "")
	d.random("small", 700, 1)
	d.random("some blocks", 3<<20, 2)
	d.random("long", 40<<20, 3) // its blocks stand in a tree of reference nodes
	d.symlink("long", "link")
	for i := range 40 {
		d.random(fmt.Sprintf("many/%d", i), 3000, uint64(100+i))
	}
}

func TestEverythingComesBackFromABucketAlone(t *testing.T) {
	beside(t)
	a, b, v, words, dir := keptInBucket(t)
	fillMarked(t, a)
	a.wait(t)
	if f := a.folder(t); f.CopiesMin < 2 {
		t.Errorf("%d copies, with one in a vault", f.CopiesMin)
	}
	want := a.tree(t)
	a.stop(t)
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Fatalf("what came through the bucket is not what went in: %q", diff)
	}
	b.at(t).write("clash", "what ben wrote\n")
	b.wait(t)
	b.stop(t)
	a.at(t).write("clash", "what anna wrote\n")
	a.up(t)
	a.wait(t)
	want = a.tree(t)
	a.stop(t)
	id := v.status(t).Device.ID
	v.stop(t)
	for _, mark := range []string{markContent, markFile, markFolder, markDevice, "ben's small"} {
		for _, root := range []string{v.Home, dir} {
			for _, name := range filesWith(t, root, mark) {
				t.Errorf("the vault's %s says %q", name, mark)
			}
		}
	}

	// Neither device nor the vault's folder is left: only the words and the bucket.
	check(t, os.RemoveAll(v.Home))
	v.up(t)
	if again := v.status(t).Device.ID; again != id {
		t.Errorf("the vault is %s now, was %s", again, id)
	}
	c := newDevice(t, "carla")
	r := fire{left: v, words: words}.recover(t, c, words, "--vault", v.Listen, "--once")
	if r.Code != 0 {
		t.Fatal(r)
	}
	if diff := want.Diff(c.tree(t)); len(diff) > 0 {
		t.Errorf("what came back is not what was there: %q", diff)
	}
}

// bothHaveAll waits until both vaults have told d that they have everything.
func bothHaveAll(t *testing.T, d *device) {
	t.Helper()
	eventually(t, "both vaults have everything", func() error {
		have := 0
		s := d.status(t)
		for _, p := range s.Devices {
			if need, told := p.Folders[s.Folders[0].Name]; p.Role == "vault" && told && need == (lab.Need{}) {
				have++
			}
		}
		if have != 2 {
			return fmt.Errorf("%d of them do", have)
		}
		return nil
	})
}

func TestOneOfTwoVaultsOnABucketIsKilledUnderLoad(t *testing.T) {
	beside(t)
	line := s3test.NewLine(t)
	url := line.Bucket(t)
	v, w := bucketVault(t, "vera", url), bucketVault(t, "walter", url)
	devices := []*device{newDevice(t, "anna"), newDevice(t, "ben"), newDevice(t, "carla"), newDevice(t, "dora")}
	devices[0].up(t)
	for _, d := range append([]*device{v, w}, devices[1:]...) {
		join(t, devices[0], d)
	}
	settle(t, devices...)
	bothHaveAll(t, devices[0])
	if n := devices[0].folder(t).CopiesClaimed; n != 5 {
		t.Errorf("%d copies are claimed, want those of four devices and of one bucket", n)
	}
	rounds := choose(2, 8)
	var load sync.WaitGroup
	for n, d := range devices {
		load.Go(func() {
			for round := range rounds {
				for i := range 30 {
					name := d.path(fmt.Sprintf("of %s/%d/%d", d.Name, round, i))
					if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), lab.RandomFile(name, int64(1+i*i*97), uint64(n*10000+round*100+i))); err != nil {
						t.Error(err)
					}
				}
				if r, err := d.Run(t.Context(), "wait", "--timeout", "5s", "--peers", "0"); err != nil {
					t.Error(r, err)
				}
			}
		})
	}
	eventually(t, "the vault that is killed receives", func() error {
		if s, err := os.ReadDir(filepath.Join(line.Dir(t, url), "packs")); err != nil || len(s) < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	check(t, v.Kill())
	load.Wait()
	want := settle(t, devices...)
	eventually(t, "the other vault has everything", func() error {
		for _, p := range devices[0].status(t).Devices {
			if p.Name == "walter" && p.Connected && devices[0].folder(t).CopiesClaimed >= 5 {
				return nil
			}
		}
		return errors.New("not yet")
	})
	for _, d := range devices {
		d.stop(t)
	}
	// What either acknowledged is in the bucket: a vault that begins with nothing has it.
	w.stop(t)
	check(t, os.RemoveAll(w.Home))
	w.up(t)
	fresh := devices[3]
	check(t, os.RemoveAll(fresh.Dir))
	check(t, os.RemoveAll(fresh.Home))
	fresh.Name = "erik"
	check(t, os.Mkdir(fresh.Dir, 0o755))
	devices[0].up(t)
	join(t, devices[0], fresh)
	devices[0].stop(t)
	fresh.wait(t, "--peers", "1")
	if diff := want.Diff(fresh.tree(t)); len(diff) > 0 {
		t.Errorf("what the vaults acknowledged is not all there: %q", diff)
	}
}

func TestAVaultWhoseBucketDoesNotAnswerAcknowledgesNothing(t *testing.T) {
	beside(t)
	line := s3test.NewLine(t)
	a, v := newDevice(t, "anna"), bucketVault(t, "vera", line.Bucket(t))
	a.up(t)
	join(t, a, v)
	a.wait(t)
	line.Fail(func(*http.Request) s3test.Fault { return s3test.Fault{Status: 503} })
	a.at(t).random("new", 3<<20, 1)
	a.wait(t, "--peers", "0")
	eventually(t, "the device tells of the vault's trouble", func() error {
		for _, p := range a.status(t).Problems {
			if p.Kind == "disk" {
				return nil
			}
		}
		return errors.New("no problem of kind disk")
	})
	a.exits(t, 4, "wait", "--timeout", "2s")
	if f := a.folder(t); f.CopiesMin != 1 {
		t.Errorf("%d copies, while the vault's bucket does not answer", f.CopiesMin)
	}
	said, err := os.ReadFile(v.Log)
	check(t, err)
	if !strings.Contains(string(said), "127.0.0.1") || strings.Contains(string(said), os.Getenv("AWS_SECRET_ACCESS_KEY")) {
		t.Error("the vault does not name the server that fails, or tells the secret")
	}
	line.Fail(nil)
	a.wait(t)
	if f := a.folder(t); f.CopiesMin != 2 {
		t.Errorf("%d copies after the bucket answers again", f.CopiesMin)
	}
}

func TestABucketThatCannotBeUsedIsNamed(t *testing.T) {
	line := s3test.NewLine(t)
	url := line.Bucket(t)
	for name, c := range map[string]struct {
		url  string
		env  []string
		want string
	}{
		"missing":     {url[:strings.LastIndex(url, "/")] + "/no-such-bucket", nil, "create it first"},
		"refused":     {url, []string{"AWS_SECRET_ACCESS_KEY=wrong"}, "credentials are missing or refused"},
		"empty":       {url, nil, "shoal invite --role vault"},
		"not a URL":   {"bucket", nil, "https://HOST/BUCKET"},
		"with secret": {"https://me:secret@host/bucket", nil, "~/.aws/credentials"},
	} {
		v := bucketVault(t, "vera", c.url)
		v.Env = c.env
		check(t, v.Start())
		code, err := v.Ended(within(t))
		check(t, err)
		said, err := os.ReadFile(v.Log)
		check(t, err)
		_, answer, _ := strings.Cut(string(said), "\n") // behind the command line
		if code != 2 || !strings.Contains(answer, c.want) || strings.Contains(answer, "secret@") {
			t.Errorf("%s: exit code %d, %q", name, code, answer)
		}
	}
}

// TestAVaultThatWasKilledComesBackFromACheckpoint needs some minutes: a checkpoint is made after hundreds of entries, and an identity is free a minute after its holder was killed.
func TestAVaultThatWasKilledComesBackFromACheckpoint(t *testing.T) {
	if !*long {
		t.Skip("takes minutes: run with -long")
	}
	a, b, v, _, dir := keptInBucket(t)
	fillMarked(t, a)
	a.wait(t)
	i := 0
	eventually(t, "a checkpoint is made", func() error {
		for range 3 { // each change is told by itself
			a.at(t).write("changes", fmt.Sprintf("change %d\n", i))
			i++
		}
		anchors, err := filepath.Glob(filepath.Join(dir, "state", "meshes", "*", "anchor"))
		check(t, err)
		for _, name := range anchors {
			if st, err := os.Stat(name); err == nil && st.Size() > 200 { // it names parts
				return nil
			}
		}
		return errors.New("not yet")
	})
	a.at(t).write("after", "the checkpoint\n")
	a.wait(t)
	want := a.tree(t)
	a.stop(t)
	check(t, v.Kill())
	check(t, os.RemoveAll(v.Home))
	check(t, v.Start())
	check(t, v.Ready(within(t)))
	b.up(t)
	b.wait(t)
	if diff := want.Diff(b.tree(t)); len(diff) > 0 {
		t.Errorf("what came from the checkpoint is not what went in: %q", diff)
	}
}
