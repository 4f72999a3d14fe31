package simulation

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/index"
)

var longChurn = flag.Bool("long", false, "simulate 30 days of a mesh with vaults, not one; takes half an hour")

// A mesh whose devices reach two vaults and never each other.
const (
	vaultDevices = 20
	vaultChurn   = vaultDevices / 2 // so many go or come in an hour
	vaultEdits   = 6                // what users do in an hour
	vaultKeeps   = 6 * time.Hour    // retention: most of what was replaced is let go of before the end
)

// vaulted is such a mesh, and what was counted of it.
type vaulted struct {
	*world
	keepers []*keeper
	frames  int // of the index exchange
	online  int // hours of devices
}

func newVaulted(devices int, seed uint64) (*vaulted, error) {
	fam, err := newFamily(devices)
	if err != nil {
		return nil, err
	}
	v := &vaulted{world: &world{
		seed: seed, r: random(seed, 0), fam: fam, trace: func(string, ...any) {}, now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC), oracle: newOracle(),
	}}
	v.oracle.strict = true
	for i := range 2 {
		k, err := newKeeper(v.world, i, vaultKeeps)
		if err != nil {
			return nil, err
		}
		v.keepers = append(v.keepers, k)
	}
	return v, nil
}

// populate starts the devices. All that talk have a line to each vault, and the vaults have one to each other.
func (v *vaulted) populate() error {
	v.links = append(v.links, &link{a: v.keepers[0].end, b: v.keepers[1].end, up: true})
	for i := range v.fam.ids {
		d, err := newDevice(v.world, i)
		if err != nil {
			return err
		}
		v.devices = append(v.devices, d)
		for _, k := range v.keepers {
			v.links = append(v.links, &link{a: d, b: k.end, up: true})
		}
	}
	return nil
}

// isOn tells whether a device is on: then both its lines are up.
func (v *vaulted) isOn(d *device) bool {
	for _, l := range v.links {
		if l.a == d {
			return l.up
		}
	}
	return false
}

// turn switches a device off, or on again: it restarts then, as after a loss of power.
func (v *vaulted) turn(d *device) error {
	on := !v.isOn(d)
	for _, l := range v.links {
		if l.a == d {
			l.up = on
			l.cut()
		}
	}
	if !on {
		return nil
	}
	return d.restart()
}

// hour is one hour: half of the devices go or come, users edit, and who is on works.
func (v *vaulted) hour() error {
	for _, i := range v.r.Perm(len(v.devices))[:vaultChurn] {
		if err := v.turn(v.devices[i]); err != nil {
			return err
		}
	}
	// Who comes hears of its own journal within the five seconds that it waits for that, but for one hour in ten: then it writes first, in a new one.
	if v.r.IntN(10) > 0 {
		if err := v.talk(); err != nil {
			return err
		}
	}
	if v.r.IntN(24) == 0 {
		if err := v.keepers[v.r.IntN(len(v.keepers))].restart(); err != nil {
			return err
		}
	}
	for range vaultEdits { // on devices that are off, too: their users work without a network
		v.pass(10 * time.Minute)
		d := v.devices[v.r.IntN(len(v.devices))]
		v.userActs(d)
		if err := d.scan(true); err != nil {
			return err
		}
	}
	for _, d := range v.devices {
		if v.isOn(d) {
			v.online++
			d.settleJournal()
			if err := d.scan(d.joining); err != nil {
				return err
			}
		}
	}
	for range 3 { // records reach the vaults, the vaults pull, the others fetch
		if err := v.round(); err != nil {
			return err
		}
	}
	for _, k := range v.keepers {
		if err := k.tenant.Tend(v.ctx); err != nil {
			return err
		}
	}
	return nil
}

// pass lets time go by, for vaults also the time that they run.
func (v *vaulted) pass(d time.Duration) {
	v.tick(d)
	for _, k := range v.keepers {
		k.up += d
	}
}

// round lets everybody who is on exchange, the vaults pull, and the devices work.
func (v *vaulted) round() error {
	if err := v.talk(); err != nil {
		return err
	}
	if _, err := v.pull(); err != nil {
		return err
	}
	for _, d := range v.devices {
		if !v.isOn(d) {
			continue
		}
		if err := d.follow(); err != nil {
			return err
		}
		if err := d.work(); err != nil {
			return err
		}
	}
	return nil
}

func (v *vaulted) pull() (came bool, err error) {
	for _, k := range v.keepers {
		some, err := k.tenant.Pull(v.ctx, v.fam.folder)
		if err != nil {
			return came, err
		}
		came = came || some
	}
	return came, nil
}

// talk moves frames until none is left.
func (v *vaulted) talk() error {
	v.pass(2 * time.Second)
	for _, k := range v.keepers {
		if err := k.end.core.Tick(v.ctx); err != nil {
			return err
		}
	}
	for _, d := range v.devices {
		if err := d.core.Tick(v.ctx); err != nil {
			return err
		}
	}
	for moved := true; moved; {
		moved = false
		for _, l := range v.links {
			for side := 0; l.up && side < 2; side++ {
				some, err := l.move(v.world, side)
				if err != nil {
					return err
				}
				if some {
					moved = true
					v.frames++
				}
			}
		}
	}
	return nil
}

// rest turns everybody on and waits until nothing more happens, neither on devices nor in vaults.
func (v *vaulted) rest() error {
	for _, d := range v.devices {
		if !v.isOn(d) {
			if err := v.turn(d); err != nil {
				return err
			}
		}
	}
	for range 20 {
		if err := v.settle(); err != nil {
			return err
		}
		if err := v.talk(); err != nil {
			return err
		}
		came, err := v.pull()
		if err != nil {
			return err
		}
		if !came {
			return nil
		}
	}
	return fmt.Errorf("the vaults do not come to rest")
}

// check holds that all devices are the same and nothing is lost, and that each vault could make any of them anew.
func (v *vaulted) check() error {
	if err := v.world.check(); err != nil {
		return err
	}
	for _, k := range v.keepers {
		if err := k.check(v.devices[0]); err != nil {
			return err
		}
	}
	return nil
}

// journals counts those that the first device knows.
func (v *vaulted) journals(t *testing.T) (n int) {
	if err := v.devices[0].idx.View(func(tx *index.Tx) error { n = len(tx.Frontier()); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Twenty devices that reach only two vaults, half of which go or come each hour, are the same in the end, and have lost nothing.
func TestAMeshOfVaultsConvergesThroughChurn(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine: it is played without the race detector")
	}
	days := 1
	if *longChurn {
		days = 30
	}
	t.Logf("-sim.from %d", *firstSeed)
	v, err := newVaulted(vaultDevices, *firstSeed)
	if err != nil {
		t.Fatal(err)
	}
	v.ctx = t.Context()
	if err := v.populate(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for h := range 24 * days {
		v.r = random(v.seed, uint64(h)+1)
		if err := v.hour(); err != nil {
			t.Fatalf("hour %d: %v", h, err)
		}
		if h%24 == 23 {
			t.Logf("day %d: %d names, %d journals, %v", h/24+1, len(v.devices[0].fs.User().Tree()), v.journals(t), time.Since(start).Round(time.Second))
		}
	}
	v.r = random(v.seed, 1<<32)
	if err := v.rest(); err != nil {
		t.Fatal(err)
	}
	if err := v.check(); err != nil {
		t.Fatal(err)
	}
	for _, k := range v.keepers {
		t.Logf("%s took in %d blocks and let go of %d", k.end.name, k.packs.put, k.packs.deleted)
		if k.packs.deleted == 0 {
			t.Errorf("%s let go of nothing: the retention did not count", k.end.name)
		}
	}
	t.Logf("%d days, %.1f frames for each device and hour online, %d names, in %v",
		days, float64(v.frames)/float64(v.online), len(v.devices[0].fs.User().Tree()), time.Since(start).Round(time.Millisecond))
}
