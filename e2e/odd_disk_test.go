//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// stick is a removable disk with a file system that has no modes, no symlinks, and one name where others have two.
type stick struct {
	name, inKernel string // inKernel: what /proc/filesystems calls it; "": by FUSE
	mkfs           []string
	mount          []string // before the device and the folder
}

var sticks = []stick{
	{"vfat", "vfat", []string{"mkfs.vfat", "-F", "32"}, []string{"mount", "-t", "vfat", "-o", "utf8"}},
	{"exfat", "exfat", []string{"mkfs.exfat"}, []string{"mount", "-t", "exfat"}},
	{"exfat by FUSE", "", []string{"mkfs.exfat"}, []string{"mount.exfat-fuse"}},
}

// plug makes a file system and mounts it; what is returned takes it out and puts it back in. It skips the test where that can't be done.
func (s stick) plug(t *testing.T, dir string) (again func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs the right to mount: this is not root")
	}
	if s.inKernel != "" {
		_ = exec.Command("modprobe", s.inKernel).Run()
		known, err := os.ReadFile("/proc/filesystems")
		check(t, err)
		if !bytes.Contains(known, []byte("\t"+s.inKernel+"\n")) {
			t.Skipf("this kernel has no %s", s.inKernel)
		}
	}
	image := filepath.Join(tempDir(t), "stick")
	f, err := os.Create(image)
	check(t, err)
	check(t, errors.Join(f.Truncate(64*mib), f.Close()))
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("needs a loop device: %v", err)
	}
	loop := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", loop).Run() })
	do := func(command ...string) {
		t.Helper()
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
			t.Skipf("needs %s", command[0])
		} else if err != nil {
			t.Fatalf("%v: %v: %s", command, err, out)
		}
	}
	do(append(s.mkfs, loop)...)
	in := append(s.mount, loop, dir)
	do(in...)
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return func() { t.Helper(); do("umount", dir); do(in...) }
}

func TestAFolderOnARemovableDisk(t *testing.T) {
	t.Parallel()
	for _, s := range sticks {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.inKernel == "" && !*long {
				t.Skip("runs with -long: a change of spelling that is seen between two events is sometimes recorded as a new file there")
			}
			a, b := newDevice(t, "anna"), newDevice(t, "ben")
			again := s.plug(t, b.Dir)
			fillForStick(a.at(t))
			want := a.tree(t)
			a.up(t)
			join(t, a, b)
			eventually(t, "the disk has all that it can hold", func() error { return hasAll(b, want, "sub/plain", "secret", "run", "notes") })
			for _, name := range []string{"a:b", "link"} {
				hasProblem(t, b, name)
			}
			eventually(t, "one of the twins is reported", func() error { return reportsOne(t, b, "twin", "TWIN") })
			eventually(t, "nothing is owed for ever", func() error {
				if state := b.folder(t).State; state != "idle" {
					return fmt.Errorf("the folder is %s", state)
				}
				return nil
			})

			// Nothing that the disk made of it comes back, also when it was taken out and put in again.
			same := func() {
				t.Helper()
				b.do(t, "rescan")
				before := a.folder(t).Frontier
				b.stop(t)
				again()
				b.up(t)
				eventually(t, "the folder is open again", func() error { // a disk by FUSE may need a moment
					r, err := b.Run(within(t), "rescan")
					if err == nil && r.Code != 0 {
						err = errors.New(r.String())
					}
					return err
				})
				if after := b.folder(t).Frontier; !maps.Equal(before, after) {
					t.Errorf("the frontier was %v and is %v, nobody changed anything", before, after)
				}
				stillThere(t, a, want)
			}
			same()

			// Edits there reach the others, with the modes that they had.
			b.at(t).write("secret", "edited on the disk")
			b.at(t).rename("notes", "Notes")
			eventually(t, "the edits arrive", func() error {
				return errors.Join(holdsText(a, "secret", "edited on the disk"), holdsText(a, "Notes", "notes"))
			})
			a.wait(t, "--peers", "0")
			got := a.tree(t)
			if m := got["secret"].Mode; m != 0o600 {
				t.Errorf("the mode of the edited file is %o", m)
			}
			if got["Notes"] != want["notes"] {
				t.Errorf("the renamed file was %v and is %v", want["notes"], got["Notes"])
			}
			want = got
			same()

			// Who can hold it gets all of it.
			c := newDevice(t, "cleo")
			join(t, a, c)
			if tree := settle(t, a, c); len(tree) != len(want) {
				t.Errorf("the third device has %d names, want %d", len(tree), len(want))
			}
			stillThere(t, c, want)
		})
	}
}

// fillForStick makes what such a disk has trouble with.
func fillForStick(d disk) {
	d.write("sub/plain", "plain")
	d.write("secret", "secret")
	d.chmod("secret", 0o600)
	d.write("run", "#!/bin/sh")
	d.chmod("run", 0o755)
	d.write("notes", "notes")
	d.touch("notes", time.Unix(1_600_000_001, 987_654_321))
	d.write("a:b", "a name with a colon")
	d.write("twin", "small")
	d.write("TWIN", "great")
	d.write("dot.", "a name with a dot at its end")
	d.symlink("notes", "link")
}

// hasAll tells whether a device has these names with the same content.
func hasAll(d *device, want lab.Tree, names ...string) error {
	tree, err := lab.Snapshot(d.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if tree[name].Sum != want[name].Sum || tree[name].Kind != want[name].Kind {
			return fmt.Errorf("%s has %q as %v", d.Name, name, tree[name])
		}
	}
	return nil
}

func holdsText(d *device, name, text string) error {
	got, err := os.ReadFile(d.path(name))
	if err == nil && string(got) != text {
		err = fmt.Errorf("%s has %q in %q", d.Name, got, name)
	}
	return err
}

func reportsOne(t *testing.T, d *device, names ...string) error {
	status, err := d.Status(within(t))
	if err != nil {
		return err
	}
	for _, p := range status.Problems {
		for _, name := range names {
			if p.Path == name {
				return nil
			}
		}
	}
	return fmt.Errorf("it reports %+v", status.Problems)
}
