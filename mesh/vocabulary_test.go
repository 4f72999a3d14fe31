package mesh

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
)

// The small words of this package's tests: identities by name, a mesh with its root and first owner, and a clock.

var start = time.Date(2026, 11, 22, 14, 3, 5, 0, time.UTC)

// chance is an endless stream of bytes that depends on its seed alone.
func chance(seed string) io.Reader {
	h := blake3.New()
	_, _ = h.WriteString(seed)
	return h.Digest()
}

var identities sync.Map // name → *Identity: making one costs a millisecond

func identity(tb testing.TB, name string) *Identity {
	tb.Helper()
	if id, ok := identities.Load(name); ok {
		return id.(*Identity)
	}
	id, err := NewIdentity(chance("identity " + name))
	if err != nil {
		tb.Fatal(err)
	}
	identities.Store(name, id)
	return id
}

func theRoot(tb testing.TB) *Root {
	tb.Helper()
	words, err := NewPhrase(make([]byte, 32))
	if err != nil {
		tb.Fatal(err)
	}
	root, err := RootFromPhrase(words)
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// device is one device of a test: its secret and its copy of the roster.
type device struct {
	*Identity
	*Roster
	tb   testing.TB
	name string
	now  time.Time
	dice io.Reader
}

// newMesh returns the first owner of a new mesh.
func newMesh(tb testing.TB, owner string) *device {
	tb.Helper()
	id := identity(tb, owner)
	d := &device{Identity: id, tb: tb, name: owner, now: start, dice: chance("mesh of " + owner)}
	r, err := Create(theRoot(tb), id, owner, d.dice, d.tick())
	d.must(err)
	d.Roster = r
	return d
}

func (d *device) tick() time.Time {
	d.now = d.now.Add(time.Second)
	return d.now
}

func (d *device) must(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatalf("%s: %v", d.name, err)
	}
}

// as returns the device name with a copy of d's roster.
func (d *device) as(name string) *device {
	d.tb.Helper()
	o := &device{Identity: identity(d.tb, name), Roster: NewRoster(), tb: d.tb, name: name, now: d.now, dice: chance("dice of " + name)}
	o.OpenNames(o.Identity)
	o.learn(d)
	return o
}

// learn adds all that others know.
func (d *device) learn(others ...*device) {
	d.tb.Helper()
	for _, o := range others {
		for _, raw := range o.Since(d.Heads()) {
			_, err := d.Add(raw)
			d.must(err)
		}
	}
}

// admits lets a device in and returns it with what d knows.
func (d *device) admits(name string, role Role) *device {
	d.tb.Helper()
	id := identity(d.tb, name)
	d.must(d.Admit(d.Identity, id.Device(), id.HPKEPublic(), name, role, d.tick()))
	return d.as(name)
}

func (d *device) revokes(o *device, cuts ...int) {
	d.tb.Helper()
	d.must(d.Revoke(d.Identity, o.Device(), journalCuts(o.Device(), cuts...), d.tick(), d.dice))
}

func (d *device) setsRole(o *device, role Role, cuts ...int) {
	d.tb.Helper()
	d.must(d.SetRole(d.Identity, o.Device(), role, journalCuts(o.Device(), cuts...), d.tick()))
}

func (d *device) addsFolder(name string) shoal.FolderID {
	d.tb.Helper()
	f, err := d.AddFolder(d.Identity, name, d.tick(), d.dice)
	d.must(err)
	return f
}

func (d *device) tends() int {
	d.tb.Helper()
	n, err := d.Tend(d.Identity, d.tick(), d.dice)
	d.must(err)
	return n
}

func (d *device) keys(f shoal.FolderID) *FolderKeys {
	d.tb.Helper()
	k, err := d.FolderKeys(d.Identity, f)
	d.must(err)
	return k
}

func (d *device) current(f shoal.FolderID) Epoch {
	d.tb.Helper()
	e, ok := d.keys(f).Current()
	if !ok {
		d.tb.Fatalf("%s has no epoch to write under", d.name)
	}
	return e
}

// rootWith returns the root with a copy of d's roster: somebody typed in the phrase.
func (d *device) rootWith() (*Root, *Roster) {
	d.tb.Helper()
	r := NewRoster()
	for _, raw := range d.Statements() {
		_, err := r.Add(raw)
		d.must(err)
	}
	return theRoot(d.tb), r
}

// journal returns the nth journal of a device.
func journal(d shoal.DeviceID, n int) shoal.JournalID {
	return shoal.JournalID{Device: d, Nonce: uint64(n)}
}

// journalCuts cuts the device's journals 1, 2, … at the given seqs.
func journalCuts(d shoal.DeviceID, seqs ...int) map[shoal.JournalID]Cut {
	out := map[shoal.JournalID]Cut{}
	for i, seq := range seqs {
		c := Cut{Seq: shoal.Seq(seq)}
		binary.BigEndian.PutUint64(c.Head[:], uint64(seq)+1)
		out[journal(d, i+1)] = c
	}
	return out
}

// inMesh returns the names and roles of the devices that are in the mesh now, in the order of the alphabet.
func inMesh(s *State) string {
	var in []string
	for _, d := range s.Devices() {
		if !d.Revoked {
			in = append(in, fmt.Sprintf("%s:%s ", d.AdmittedAs, d.Role))
		}
	}
	slices.Sort(in)
	return strings.Join(in, "")
}
