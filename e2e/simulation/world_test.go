package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// family is the mesh that all schedules share: making its keys costs more than a schedule.
type family struct {
	ids    []*mesh.Identity
	roster *mesh.Roster
	folder shoal.FolderID
}

const maxDevices = 5

func newFamily(devices int) (*family, error) {
	r := rand.NewChaCha8([32]byte{1})
	f := &family{}
	for range devices {
		id, err := mesh.NewIdentity(r)
		if err != nil {
			return nil, err
		}
		f.ids = append(f.ids, id)
	}
	words, err := mesh.NewPhrase(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		return nil, err
	}
	when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if f.roster, err = mesh.Create(root, f.ids[0], "dev0", r, when); err != nil {
		return nil, err
	}
	if f.folder, err = f.roster.AddFolder(f.ids[0], "stuff", when, r); err != nil {
		return nil, err
	}
	for i, id := range f.ids[1:] {
		if err := f.roster.Admit(f.ids[0], id.Device(), id.HPKEPublic(), fmt.Sprintf("dev%d", i+1), mesh.RoleMember, when); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *family) keys(i int) (*mesh.FolderKeys, block.Keys, error) {
	k, err := f.roster.FolderKeys(f.ids[i], f.folder)
	if err != nil {
		return nil, block.Keys{}, err
	}
	return k, block.Keys{Chunker: k.Chunker, BlockID: k.BlockID}, nil
}

// world is one schedule: some devices, the lines between them, and what the users did.
type world struct {
	ctx     context.Context
	seed    uint64
	r       *rand.Rand // of the step that runs: each has its own, so that a step means the same when others are left out
	fam     *family
	now     time.Time
	devices []*device
	links   []*link
	oracle  *oracle
	trace   func(string, ...any)
	serial  int

	// disasters: disks fail, databases are lost, old images come back. Then less can be promised, so not every schedule has them.
	disasters bool
}

// link is the line between two devices; frames travel in order while it is up. A half that is stuck sends nothing, and neither end notices.
type link struct {
	a, b  *device
	up    bool
	stuck [2]bool
	end   [2]*lineEnd // nil while there is no session
}

// random returns the source of one step; 0 is the making of the world.
func random(seed, step uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, step)) }

func newWorld(fam *family, seed uint64, trace func(string, ...any)) (*world, error) {
	w := &world{
		ctx: context.Background(), seed: seed, r: random(seed, 0), fam: fam, trace: trace,
		now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), oracle: newOracle(),
	}
	w.disasters = w.r.IntN(3) == 0
	w.oracle.strict = !w.disasters
	n := 3 + w.r.IntN(maxDevices-2)
	for i := range n {
		d, err := newDevice(w, i)
		if err != nil {
			return nil, err
		}
		w.devices = append(w.devices, d)
	}
	for i := range n {
		for k := i + 1; k < n; k++ {
			w.links = append(w.links, &link{a: w.devices[i], b: w.devices[k], up: w.r.IntN(3) > 0})
		}
	}
	return w, nil
}

// tick moves every clock on.
func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	for _, dev := range w.devices {
		dev.fs.SetNow(w.now.Add(dev.skew).UnixNano())
	}
}

// step does one thing that chance chooses.
func (w *world) step() error {
	w.tick(time.Duration(1+w.r.IntN(2000)) * time.Millisecond)
	d := w.devices[w.r.IntN(len(w.devices))]
	switch k := w.r.IntN(100); {
	case k < 30:
		w.userActs(d)
		return nil
	case k < 44:
		return d.scan(w.r.IntN(4) == 0)
	case k < 58:
		return d.work()
	case k < 62:
		return d.follow()
	case k < 86:
		return w.exchange(1 + w.r.IntN(6))
	case k < 91:
		return w.flipLink()
	case k < 93:
		return d.crash(false)
	case k < 95:
		return d.crash(true)
	case k < 97:
		return w.disaster(d)
	default:
		d.skew = time.Duration(w.r.IntN(7)-3) * 24 * time.Hour
		if w.r.IntN(8) == 0 {
			d.skew = 73 * 365 * 24 * time.Hour // the year 2099
		}
		return nil
	}
}

// disaster is what no device does by itself.
func (w *world) disaster(d *device) error {
	if !w.disasters {
		return nil
	}
	switch w.r.IntN(6) {
	case 0:
		d.takeImage()
	case 1:
		return d.putImageBack()
	case 2:
		return d.loseDatabase()
	default:
		d.failDisk(1+w.r.IntN(30), []error{syscall.ENOSPC, syscall.EIO, syscall.EACCES}[w.r.IntN(3)])
	}
	return nil
}

func (w *world) flipLink() error {
	l := w.links[w.r.IntN(len(w.links))]
	if l.up && w.r.IntN(3) == 0 {
		side := w.r.IntN(2)
		l.stuck[side] = !l.stuck[side]
		w.trace("link %s-%s half %d stuck=%v", l.a.name, l.b.name, side, l.stuck[side])
		return nil
	}
	l.up, l.stuck = !l.up, [2]bool{}
	w.trace("link %s-%s up=%v", l.a.name, l.b.name, l.up)
	l.cut()
	return nil
}

// exchange moves up to n frames along links that chance chooses.
func (w *world) exchange(n int) error {
	for _, d := range w.devices {
		if err := d.core.Tick(w.ctx); err != nil {
			return err
		}
	}
	for range n {
		l := w.links[w.r.IntN(len(w.links))]
		if !l.up {
			continue
		}
		if _, err := l.move(w, w.r.IntN(2)); err != nil {
			return err
		}
	}
	return nil
}

// settle heals everything and lets the mesh come to rest.
func (w *world) settle() error {
	w.oracle.closed = true
	for _, l := range w.links {
		if !l.up || l.stuck != [2]bool{} {
			l.up, l.stuck = true, [2]bool{}
			l.cut()
		}
	}
	for _, d := range w.devices {
		d.crashAt, d.failAt = 0, 0
	}
	w.tick(2 * time.Hour) // who was left out for sending nonsense is asked again
	quiet := 0
	for round := 0; quiet < 3; round++ {
		if round > 400 {
			return fmt.Errorf("the mesh does not come to rest:\n%s", w.describe())
		}
		w.tick(time.Duration(1+quiet*10) * 1500 * time.Millisecond)
		moved := false
		for _, d := range w.devices {
			before := d.fingerprint()
			for _, do := range []func() error{func() error { return d.scan(true) }, d.follow, d.work} {
				if err := do(); err != nil {
					return err
				}
			}
			moved = moved || d.fingerprint() != before
		}
		sent, err := w.drain()
		if err != nil {
			return err
		}
		if moved || sent {
			quiet = 0
		} else {
			quiet++
		}
	}
	return nil
}

// drain moves frames until none is left, and tells whether any journal came further.
func (w *world) drain() (bool, error) {
	before := w.frontiers()
	for _, d := range w.devices {
		if err := d.core.Tick(w.ctx); err != nil {
			return false, err
		}
	}
	for range 2000 {
		any := false
		for _, l := range w.links {
			for side := range 2 {
				ok, err := l.move(w, side)
				if err != nil {
					return false, err
				}
				any = any || ok
			}
		}
		if !any {
			break
		}
	}
	return w.frontiers() != before, nil
}

func (w *world) frontiers() string {
	var b strings.Builder
	for _, d := range w.devices {
		b.WriteString(d.frontier())
		b.WriteByte('|')
	}
	return b.String()
}

func (w *world) describe() string {
	var b strings.Builder
	for _, d := range w.devices {
		fmt.Fprintf(&b, "--- %s\n%s\n%s", d.name, d.fs.User().Dump(), d.needs(nil))
	}
	return b.String()
}

// nowhere lists the paths whose content no device has any more: after a disaster that is possible, and nobody can bring it.
func (w *world) nowhere() map[shoal.Path]bool {
	out := map[shoal.Path]bool{}
	if !w.disasters {
		return out
	}
	has, wanted := map[block.ContentID]bool{}, map[shoal.Path]block.ContentID{}
	for _, d := range w.devices {
		_ = d.idx.View(func(tx *index.Tx) error {
			return tx.Walk("", func(r index.Row) error {
				if r.Base != nil && r.Base.Kind == shoal.KindFile {
					has[r.Base.Content] = true
				}
				if want, _ := tx.Desired(r.Path); want != nil && want.Kind == shoal.KindFile {
					wanted[r.Path] = want.Content
				}
				return nil
			})
		})
	}
	for p, c := range wanted {
		if !has[c] {
			out[p] = true
		}
	}
	return out
}

// check holds what must be true of a mesh at rest.
func (w *world) check() error {
	nowhere := w.nowhere()
	first := w.devices[0].shown(nowhere)
	for _, d := range w.devices[1:] {
		if got := d.shown(nowhere); got != first {
			return fmt.Errorf("%s and %s show different trees:\n--- %s\n%s--- %s\n%s", w.devices[0].name, d.name, w.devices[0].name, first, d.name, got)
		}
	}
	for _, d := range w.devices {
		if n := d.needs(nowhere); n != "" {
			return fmt.Errorf("%s at rest still needs: %s", d.name, n)
		}
		if err := d.db.Check(w.ctx); err != nil {
			return fmt.Errorf("index of %s: %w", d.name, err)
		}
	}
	return w.oracle.check(w.devices[0], w.devices)
}
