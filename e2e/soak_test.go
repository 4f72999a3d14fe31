//go:build linux

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// What the command line says about the soak.
var (
	soakFor  = flag.Duration("soak", 0, "how long the soak lasts (default 8s, and 30m in long runs)")
	soakSeed = flag.Uint64("soak-seed", 0, "what happens in the soak (default: each time something else)")
)

const (
	soakOwn      = 60      // files that only one device changes, per device
	soakShared   = 20      // files that all change
	soakStorm    = 200     // changes in a storm
	soakDisk     = "1g"    // the disk that gets full
	soakFree     = 8 * mib // what a full disk has left
	chapterLasts = 45 * time.Second
)

// soak is devices that live through bad times together, and what must come of it.
type soak struct {
	t      *testing.T
	w      *world
	random *rand.Rand
	round  int
	own    []map[string]string // per device: what the files have that only it changes
	filler string              // "" when the disk is not full
	cut    [][2]int

	changes, kills, cuts, fills int
}

// TestASoakEndsTheSameEverywhere has devices edit, crash, lose each other and run out of disk for a while, again and again. After each chapter everything is healed:
// then all have the same files, what only one device wrote is what it wrote last, no file is half, and memory and descriptors stay what they were.
func TestASoakEndsTheSameEverywhere(t *testing.T) {
	beside(t)
	lasts := choose(8*time.Second, 30*time.Minute)
	if *soakFor > 0 {
		lasts = *soakFor
	}
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("a soak of %v with -soak-seed %d", lasts, seed)
	net := network(t, 4)
	s := &soak{t: t, random: rand.New(rand.NewPCG(seed, 0))}
	s.w = newWorld(t, 4, net, quiet, func(d *lab.Device) {
		if d.Name == names[3] { // its home is on the disk that gets full, too
			root := filepath.Dir(d.Home)
			mount(t, root, soakDisk)
			check(t, os.Mkdir(d.Dir, 0o755))
			s.filler = filepath.Join(root, "filler")
		}
	})
	for range s.w.devices {
		s.own = append(s.own, map[string]string{})
	}
	first := s.rest()
	for start := time.Now(); time.Since(start) < lasts; {
		for chapter := time.Now(); time.Since(chapter) < min(chapterLasts, lasts) && !t.Failed(); {
			s.event()
		}
		now := s.rest()
		t.Logf("%5s: %d changes, %d crashes, %d cuts, %d full disks; anna, who never crashed: %.1f MiB, %d descriptors", time.Since(start).Round(time.Second),
			s.changes, s.kills, s.cuts, s.fills, float64(now.memory)/mib, now.descriptors)
		s.w.devices[0].subsides(s.t, first)
		if t.Failed() {
			t.Fatalf("after %v of -soak-seed %d", time.Since(start), seed)
		}
	}
	for _, d := range s.w.devices {
		d.do(t, "doctor", "--deep")
	}
}

// event is one thing that happens.
func (s *soak) event() {
	n := len(s.w.devices)
	switch k := s.random.IntN(10); {
	case k < 5:
		for _, i := range s.random.Perm(n)[:1+s.random.IntN(2)] {
			s.storm(i)
		}
	case k < 7:
		d := s.w.devices[1+s.random.IntN(n-1)]
		s.kills++
		check(s.t, d.Kill())
		if s.random.IntN(2) == 0 {
			s.storm(slices.Index(s.w.devices, d))
		}
		s.start(d)
	case k < 9:
		a := s.random.IntN(n)
		b := (a + 1 + s.random.IntN(n-1)) % n
		if i := slices.Index(s.cut, [2]int{min(a, b), max(a, b)}); i >= 0 {
			check(s.t, s.w.net.Plug(a, b))
			s.cut = slices.Delete(s.cut, i, i+1)
			return
		}
		s.cuts++
		check(s.t, s.w.net.Cut(a, b))
		s.cut = append(s.cut, [2]int{min(a, b), max(a, b)})
	default:
		s.fill()
	}
}

// start starts a daemon. On a full disk it may refuse; it is started again when there is room.
func (s *soak) start(d *device) {
	check(s.t, d.Start())
	if err := d.Ready(within(s.t)); err != nil && !(s.full() && d == s.w.devices[3]) {
		s.t.Fatal(err)
	}
}

func (s *soak) full() bool { _, err := os.Stat(s.filler); return err == nil }

// fill takes all space but a little from the disk of the last device, or gives it back.
func (s *soak) fill() {
	if s.full() {
		check(s.t, os.Remove(s.filler))
		return
	}
	s.fills++
	var st syscall.Statfs_t
	check(s.t, syscall.Statfs(filepath.Dir(s.filler), &st))
	f, err := os.Create(s.filler)
	check(s.t, err)
	size := int64(st.Bavail)*st.Bsize - soakFree
	check(s.t, errors.Join(syscall.Fallocate(int(f.Fd()), 0, 0, size), f.Close()))
}

// storm is many changes by one device, as fast as they go.
func (s *soak) storm(i int) {
	if i == 3 && s.full() {
		return // its user cannot write either
	}
	s.round++
	d, mine := s.w.devices[i].at(s.t), s.own[i]
	aside := filepath.Join(filepath.Dir(s.w.devices[i].Home), "aside")
	put := func(name, text string) string {
		d.mkdir(filepath.Dir(name))
		check(s.t, os.WriteFile(aside, []byte(text), 0o644))
		check(s.t, os.Rename(aside, d.path(name)))
		return text
	}
	for range soakStorm {
		s.changes++
		name := fmt.Sprintf("of %s/%d/%d", names[i], s.random.IntN(4), s.random.IntN(soakOwn/4))
		if s.random.IntN(4) == 0 {
			name = fmt.Sprintf("shared/%d", s.random.IntN(soakShared))
			put(name, s.text(name))
			continue
		}
		_, there := mine[name]
		switch k := s.random.IntN(8); {
		case there && k == 0:
			d.remove(name)
			delete(mine, name)
		case there && k == 1:
			to := fmt.Sprintf("of %s/moved/%d", names[i], s.random.IntN(soakOwn))
			d.mkdir(filepath.Dir(to))
			d.rename(name, to)
			mine[to] = mine[name]
			delete(mine, name)
		case there && k == 2:
			d.chmod(name, 0o600|os.FileMode(s.random.IntN(0o100)))
		default:
			mine[name] = put(name, s.text(name))
		}
	}
}

func (s *soak) text(name string) string {
	return string(selfProving(fmt.Sprintf("%s, %d", name, s.random.Uint32()), s.round%64))
}

// rest heals everything, waits until all are the same, and holds what must be.
func (s *soak) rest() taken {
	s.t.Helper()
	if s.full() {
		s.fill()
	}
	for _, c := range s.cut {
		check(s.t, s.w.net.Plug(c[0], c[1]))
	}
	s.cut = nil
	for _, d := range s.w.devices {
		if !d.Running() {
			d.up(s.t)
		}
	}
	settle(s.t, s.w.devices...)
	for _, d := range s.w.devices {
		noHalves(s.t, d)
		s.ownFiles(d)
	}
	return s.w.devices[0].taken(s.t)
}

// ownFiles holds that d has what each device wrote last into the files that only it changes, and no conflict copy of them.
func (s *soak) ownFiles(d *device) {
	s.t.Helper()
	for i, mine := range s.own {
		want := maps.Clone(mine)
		root := filepath.Join(d.Dir, "of "+names[i])
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name, err := filepath.Rel(d.Dir, path)
			check(s.t, err)
			text, err := os.ReadFile(path)
			if err == nil && string(text) != want[name] {
				s.t.Errorf("%s has another %s than %s wrote (there should be one: %v)", d.Name, name, names[i], want[name] != "")
			}
			delete(want, name)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			s.t.Error(err)
		}
		if len(want) > 0 {
			s.t.Errorf("%s lacks %d files of %s: %v", d.Name, len(want), names[i], slices.Sorted(maps.Keys(want)))
		}
	}
}
