package simulation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// script is a world in which nothing happens by chance: a test says what users do and when devices look, talk and work.
type script struct {
	*testing.T
	*world
	a, b, c *device
}

// newScript returns three devices that are connected and have the given files.
func newScript(t *testing.T, files ...string) *script {
	t.Helper()
	w := &world{
		ctx: t.Context(), seed: 1, r: random(1, 0), fam: family1(t), trace: func(string, ...any) {},
		now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), oracle: newOracle(),
	}
	w.oracle.closed = true
	for i := range 3 {
		d, err := newDevice(w, i)
		if err != nil {
			t.Fatal(err)
		}
		w.devices = append(w.devices, d)
	}
	for _, ends := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
		w.links = append(w.links, &link{a: w.devices[ends[0]], b: w.devices[ends[1]], up: true})
	}
	s := &script{T: t, world: w, a: w.devices[0], b: w.devices[1], c: w.devices[2]}
	for _, f := range files {
		s.must(s.a.fs.User().MkdirAll(string(shoal.Path(f).Parent())))
		s.write(s.a, f, "old "+f)
	}
	s.rest()
	return s
}

func (s *script) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// later lets a second go by, so that no two things have one time.
func (s *script) later() { s.tick(time.Second) }

func (s *script) write(d *device, p, content string) {
	s.Helper()
	s.later()
	s.must(d.fs.User().WriteFile(p, content))
	s.must(d.fs.User().Sync())
}

func (s *script) rename(d *device, from, to string) {
	s.Helper()
	s.later()
	s.must(d.fs.User().Rename(from, to))
	s.must(d.fs.User().Sync())
}

// look lets devices record what is on their disks.
func (s *script) look(devices ...*device) {
	s.Helper()
	s.tick(10 * time.Second)
	for _, d := range devices {
		s.must(d.scan(true))
	}
}

// talk lets connected devices exchange records, not contents.
func (s *script) talk() {
	s.Helper()
	s.later()
	for moved := true; moved; {
		moved = false
		for _, d := range s.devices {
			s.must(d.core.Tick(s.ctx))
		}
		for _, l := range s.links {
			for side := 0; l.up && side < 2; side++ {
				some, err := l.move(s.world, side)
				s.must(err)
				moved = moved || some
			}
		}
	}
}

// work lets devices put on their disks what others have recorded.
func (s *script) work(devices ...*device) {
	s.Helper()
	s.later()
	for _, d := range devices {
		s.must(d.work())
	}
}

// join connects exactly these devices.
func (s *script) join(devices ...*device) {
	in := map[*device]bool{}
	for _, d := range devices {
		in[d] = true
	}
	for _, l := range s.links {
		if l.up = in[l.a] && in[l.b]; !l.up {
			l.cut()
		}
	}
}

// rest connects everybody, waits until nothing more happens, and checks what must be true then.
func (s *script) rest() {
	s.Helper()
	s.tick(2 * time.Minute) // what waits for a file to be closed waits no longer
	s.must(s.settle())
	s.must(s.check())
}

// before runs do once, before a device's next operation of this kind on a path; "*" is any.
func (s *script) before(d *device, op, path string, do func()) {
	done := false
	d.fs.Fail = func(o, p string) error {
		if !done && o == op && (p == path || path == "*") {
			done = true
			do()
		}
		return d.beforeDisk(o, p)
	}
	s.Cleanup(func() {
		if !done {
			s.Errorf("%s never came to %s %s", d.name, op, path)
		}
	})
}

// contentAt returns what a device shows at a path; "" for nothing.
func contentAt(d *device, p string) string {
	c, err := d.fs.User().ReadFile(p)
	if err != nil {
		return ""
	}
	return c
}

// is checks all files of all devices. A "*" stands for what follows the name of a conflict copy's original.
func (s *script) is(want ...string) {
	s.Helper()
	for _, d := range s.devices {
		var got []string
		for _, n := range d.fs.User().Tree() {
			if n.Kind == shoal.KindFile {
				name, _, copied := strings.Cut(string(n.Path), " (conflict ")
				if copied {
					name += "*"
				}
				got = append(got, name+"="+n.Content)
			}
		}
		if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
			s.Errorf("%s shows %s, want %s", d.name, g, w)
		}
	}
}

// copyOn returns the name of the one conflict copy that a device shows.
func (s *script) copyOn(d *device) (name string) {
	s.Helper()
	for _, n := range d.fs.User().Tree() {
		if !strings.Contains(string(n.Path), " (conflict ") {
			continue
		}
		if name != "" {
			s.Fatalf("%s shows two copies:\n%s", d.name, d.fs.User().Dump())
		}
		name = string(n.Path)
	}
	if name == "" {
		s.Fatalf("%s shows no copy:\n%s", d.name, d.fs.User().Dump())
	}
	return name
}

// records returns how many records a device's index has at a path, tombstones left out.
func (s *script) records(d *device, p shoal.Path) (n int) {
	s.Helper()
	s.must(d.idx.View(func(tx *index.Tx) error {
		row, _, err := tx.Row(p)
		for i := range row.Live {
			if row.Live[i].Entry.Kind != shoal.KindTombstone {
				n++
			}
		}
		return err
	}))
	return n
}

// winsApart gives a and b the same new f, and c, which neither has met since, another one that will win.
func (s *script) winsApart() {
	s.join(s.a, s.b)
	s.write(s.a, "f", "a")
	s.look(s.a)
	s.talk()
	s.work(s.b)
	s.now = s.now.Add(time.Hour)
	s.join()
	s.write(s.c, "f", "c")
	s.look(s.c)
}
