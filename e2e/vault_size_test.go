//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/kept"
	"github.com/shoalmesh/shoal/e2e/lab"
)

// What a vault may take with a million blocks.
const (
	startLimit  = 5 * time.Second
	memoryLimit = 200 * mib
)

// vaultStatus is what these tests read of `shoal vault status --json`.
type vaultStatus struct {
	Tenants []struct {
		State   string `json:"state"`
		Folders []struct {
			Records int64 `json:"records"`
			Blocks  int64 `json:"blocks"`
			Lacking int64 `json:"lacking"`
		} `json:"folders"`
		Scrub struct {
			Running bool      `json:"running"`
			Ended   time.Time `json:"ended"`
			Damaged int       `json:"damaged"`
			Problem string    `json:"problem"`
		} `json:"scrub"`
	} `json:"tenants"`
}

func (d *device) vault(t *testing.T) (s vaultStatus) {
	t.Helper()
	check(t, json.Unmarshal([]byte(d.do(t, "vault", "status", "--json", "--data", d.Home)), &s))
	if len(s.Tenants) != 1 || len(s.Tenants[0].Folders) != 1 {
		t.Fatalf("%+v", s)
	}
	return s
}

// fullVault makes a vault that does not run and keeps much.
func fullVault(t *testing.T, what kept.Filling) *device {
	t.Helper()
	v := newVault(t, "vera", quiet)
	check(t, os.MkdirAll(v.Home, 0o700))
	start := time.Now()
	check(t, kept.Fill(t.Context(), v.Home, what))
	t.Logf("%d blocks were put in place in %v", what.Blocks, time.Since(start).Round(time.Second))
	return v
}

// began starts a vault and returns how long that took.
func (d *device) began(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	d.up(t)
	return time.Since(start)
}

// soon holds that something took at most startLimit. Where much else runs on the machine the time says nothing, and is only told.
func soon(t *testing.T, what string, took time.Duration) {
	t.Helper()
	if took <= startLimit {
		return
	}
	raw, err := os.ReadFile("/proc/loadavg")
	check(t, err)
	var load float64
	_, err = fmt.Sscan(string(raw), &load)
	check(t, err)
	if load > 2*float64(runtime.NumCPU()) {
		t.Logf("%s took %v, on a machine with a load of %.1f", what, took, load)
		return
	}
	t.Errorf("%s took %v, more than %v", what, took, startLimit)
}

// most watches the memory of a vault until something is over, and returns the most that it had.
func (d *device) most(t *testing.T, over func() error) (most int64) {
	t.Helper()
	check(t, lab.Poll(within(t), 50*time.Millisecond, func() error {
		n, err := lab.Memory(d.PID())
		check(t, err)
		most = max(most, n)
		return over()
	}))
	return most
}

// after is over when some time has passed.
func after(d time.Duration) func() error {
	end := time.Now().Add(d)
	return func() error {
		if time.Now().Before(end) {
			return errors.New("not yet")
		}
		return nil
	}
}

func fits(t *testing.T, what string, memory int64) {
	t.Helper()
	t.Logf("%s: %d MiB of memory", what, memory/mib)
	if memory > memoryLimit {
		t.Errorf("%s takes %d MiB of memory, more than %d", what, memory/mib, memoryLimit/mib)
	}
}

// TestAVaultOfAMillionBlocksStartsAtOnceInLittleMemory starts a vault after a clean end and after a kill, has it scrub, and asks what that takes. In long runs
// with a million blocks.
func TestAVaultOfAMillionBlocksStartsAtOnceInLittleMemory(t *testing.T) {
	blocks := choose(20_000, 1_000_000)
	v := fullVault(t, kept.Filling{Blocks: blocks, PerRecord: 10})
	for _, how := range []string{"the first start", "after a kill", "after a clean end"} {
		took := v.began(t)
		used, err := lab.CPU(v.PID())
		check(t, err)
		t.Logf("%s: ready after %v, of which it computed for %v", how, took.Round(10*time.Millisecond), used.Round(10*time.Millisecond))
		soon(t, how, took)
		s := v.vault(t).Tenants[0]
		if f := s.Folders[0]; f.Blocks != int64(blocks) || f.Lacking != 0 || s.State != "ok" {
			t.Fatalf("%s: %+v", how, s)
		}
		fits(t, how, v.most(t, after(choose(time.Second, 30*time.Second))))
		if how == "the first start" {
			check(t, v.Kill())
		} else if how == "after a kill" {
			v.stop(t)
		}
	}
	v.do(t, "vault", "scrub", "--data", v.Home)
	start := time.Now()
	fits(t, "a scrub", v.most(t, func() error {
		if s := v.vault(t).Tenants[0].Scrub; s.Running || s.Ended.IsZero() {
			return fmt.Errorf("%+v", s)
		}
		return nil
	}))
	t.Logf("a scrub took %v", time.Since(start).Round(100*time.Millisecond))
	if s := v.vault(t).Tenants[0]; s.Scrub.Damaged != 0 || s.Scrub.Problem != "" || s.Folders[0].Blocks != int64(blocks) {
		t.Errorf("%+v", s)
	}
}

// TestGarbageCollectionOfHalfAMillionBlocksDelaysNothing starts a vault half of whose blocks have expired, and asks meanwhile.
func TestGarbageCollectionOfHalfAMillionBlocksDelaysNothing(t *testing.T) {
	blocks := choose(20_000, 1_000_000)
	v := fullVault(t, kept.Filling{Blocks: blocks, PerRecord: 10, Deleted: blocks / 20, Age: 40 * 24 * time.Hour})
	took := v.began(t)
	start := time.Now()
	slowest := time.Duration(0)
	memory := v.most(t, func() error {
		asked := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), *patience)
		defer cancel()
		r, err := v.Run(ctx, "vault", "status", "--json", "--data", v.Home)
		check(t, err)
		slowest = max(slowest, time.Since(asked))
		var s vaultStatus
		check(t, json.Unmarshal([]byte(r.Stdout), &s))
		if n := s.Tenants[0].Folders[0].Blocks; n != int64(blocks/2) {
			return fmt.Errorf("%d blocks are left", n)
		}
		return nil
	})
	t.Logf("ready after %v; %d blocks were let go of in %v, and the slowest answer took %v", took.Round(10*time.Millisecond), blocks/2, time.Since(start).Round(100*time.Millisecond), slowest.Round(time.Millisecond))
	fits(t, "garbage collection", memory)
	soon(t, "the start", took)
	soon(t, "the slowest answer", slowest)
}
