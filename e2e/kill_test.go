//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// What the command line says about crashes.
var (
	kills    = flag.Int("kills", 0, "how many crashes (default 3, and 50 in long runs)")
	killSeed = flag.Uint64("kill-seed", 0, "when and whom to crash (default: other each time)")
)

// crashFiles is how many files are on their way when a daemon crashes.
const crashFiles = 5000

// selfProving returns a content that says whether it is whole: a line, filler, and the hash of both.
func selfProving(name string, round int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s in round %d\n", name, round)
	size := int(seedOf(name)%(6*kib)) + round
	b.Write(bytes.Repeat([]byte{'a' + byte(round%26)}, size))
	sum := sha256.Sum256(b.Bytes())
	b.WriteString(hex.EncodeToString(sum[:]))
	return b.Bytes()
}

// whole tells whether a content is one that selfProving made.
func whole(content []byte) bool {
	cut := len(content) - hex.EncodedLen(sha256.Size)
	if cut < 0 {
		return false
	}
	sum := sha256.Sum256(content[:cut])
	return hex.EncodeToString(sum[:]) == string(content[cut:])
}

// rewrite gives every file a new content, each by renaming a finished one over it, so that a reader never sees a part.
func rewrite(t *testing.T, d *device, round int) {
	t.Helper()
	aside := tempDir(t)
	for i := range crashFiles {
		name := fmt.Sprintf("d%02d/f%04d", i/100, i)
		ready := filepath.Join(aside, fmt.Sprint(i))
		check(t, os.WriteFile(ready, selfProving(name, round), 0o644))
		if i%100 == 0 {
			d.at(t).mkdir(filepath.Dir(name))
		}
		check(t, os.Rename(ready, d.path(name)))
	}
}

// noHalves holds that every file under a real name is a whole one, now.
func noHalves(t *testing.T, d *device) {
	t.Helper()
	err := filepath.WalkDir(d.Dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && e.Name() == ".shoal" {
			return fs.SkipDir
		}
		if !e.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if err == nil && !whole(content) {
			t.Errorf("%s has half a file: %s has %d bytes", d.Name, strings.TrimPrefix(name, d.Dir), len(content))
		}
		return err
	})
	check(t, err)
}

func TestCrashesAtAnyMomentLoseNothingAndLeaveNoHalfFiles(t *testing.T) {
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("crashes of -kill-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := choose(3, 50)
	if *kills > 0 {
		rounds = *kills
	}
	a, b := pair(t, quiet)
	rewrite(t, a, 0)
	start := time.Now()
	settle(t, a, b)
	usual := time.Since(start)
	t.Logf("%d files take %v without a crash", crashFiles, usual.Round(time.Millisecond))
	for round := 1; round <= rounds; round++ {
		victim := []*device{a, b}[random.IntN(2)]
		moment := time.Duration(random.Int64N(int64(usual)))
		rewrite(t, a, round)
		crashAfter(t, victim, moment)
		noHalves(t, b)
		victim.up(t)
		tree := settle(t, a, b)
		if files, _ := count(tree); files != crashFiles {
			t.Errorf("round %d: %s crashed after %v, and there are %d files of %d", round, victim.Name, moment, files, crashFiles)
		}
		everyFileIsOf(t, b, round)
		noConflicts(t, a, b)
		if t.Failed() {
			t.Fatalf("round %d: %s had crashed after %v", round, victim.Name, moment)
		}
	}
}

// crashAfter kills a daemon when some time has passed.
func crashAfter(t *testing.T, victim *device, moment time.Duration) {
	t.Helper()
	timer := time.NewTimer(moment)
	defer timer.Stop()
	<-timer.C
	check(t, victim.Kill())
}

// everyFileIsOf holds that all files have the contents of one round.
func everyFileIsOf(t *testing.T, d *device, round int) {
	t.Helper()
	texts, err := lab.Texts(d.Dir)
	check(t, err)
	line := fmt.Sprintf(" in round %d\n", round)
	for name, text := range texts {
		if !strings.HasPrefix(text, name+line) {
			t.Errorf("%q of %s begins with %q, want round %d", name, d.Name, text[:min(len(text), 30)], round)
		}
	}
}

func TestACrashDuringABigFileDoesNotFetchItAllAgain(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, b := pair(t, quiet, alone(n))
	size := choose[int64](96*mib, gib)
	aside := disk{t, tempDir(t)}
	aside.random("big", size, 21)
	before := wire(t, a)
	check(t, os.Rename(aside.path("big"), a.path("big")))
	eventually(t, "half of the file is on its way", func() error {
		if moved := wire(t, a) - before; moved < size/2 {
			return fmt.Errorf("%d bytes so far", moved)
		}
		return nil
	})
	check(t, b.Kill())
	atCrash := wire(t, a) - before
	if _, err := os.Lstat(b.path("big")); err == nil && atCrash < size {
		t.Error("a half file stands under a real name")
	}
	b.up(t)
	b.wait(t)
	settle(t, a, b)
	moved := wire(t, a) - before
	t.Logf("%d of %d bytes before the crash, %d in all", atCrash, size, moved)
	if moved > size+size/4 {
		t.Errorf("%d bytes went over the wire for a file of %d: what was there before the crash came again", moved, size)
	}
}
