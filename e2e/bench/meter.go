//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// cost is what something took.
type cost struct {
	Wall time.Duration
	CPU  time.Duration // of both ends together
	Peak int64         // bytes of resident memory of the hungrier end, ever since it was started
	Anon int64         // the most of it that was seen with no file behind it, since the measurement began
	Wire int64         // bytes, headers included
	// Records that the source wrote into its journal, if it has one.
	Records int64
	Edits   []time.Duration
}

// recorder is an end that keeps a journal.
type recorder interface {
	// records returns how many records the source has ever written.
	records(ctx context.Context) (int64, error)
}

// spender is an end with processes that come and go: what they used cannot be read any more when they have gone.
type spender interface {
	// spent returns what processes that have ended used so far, and the most memory that one had.
	spent() (cpu time.Duration, peak int64)
}

// processes are what is measured.
type processes interface {
	// pids are the processes that run now, without their children.
	pids() []int
}

// meter measures processes.
type meter struct {
	ends processes

	mu         sync.Mutex
	peak, anon int64 // guarded by mu
}

// samplePause is how often memory is looked at: processes that end in between are seen by their spender only.
const samplePause = 50 * time.Millisecond

// measure runs act and tells what it took.
func (m *meter) measure(ctx context.Context, act func() error) (cost, error) {
	ctx, cancel := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { m.sample(ctx) })
	defer sampler.Wait()
	defer cancel()
	m.mu.Lock()
	m.anon = 0
	m.mu.Unlock()
	cpu := m.cpu()
	wire, err := m.wire()
	if err != nil {
		return cost{}, err
	}
	records, err := m.records(ctx)
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	if err := act(); err != nil {
		return cost{}, err
	}
	c := cost{Wall: time.Since(start)}
	recordsNow, err := m.records(ctx)
	if err != nil {
		return cost{}, err
	}
	c.Records = recordsNow - records
	wireNow, err := m.wire()
	if err != nil {
		return cost{}, err
	}
	m.look()
	c.CPU = m.cpu() - cpu
	if wire >= 0 && wireNow >= 0 {
		c.Wire = wireNow - wire
	}
	m.mu.Lock()
	c.Peak, c.Anon = m.peak, m.anon
	m.mu.Unlock()
	return c, nil
}

func (m *meter) records(ctx context.Context) (int64, error) {
	if r, ok := m.ends.(recorder); ok {
		return r.records(ctx)
	}
	return 0, nil
}

// wire returns the bytes that have gone over their network; -1 when none of them runs, as before something that runs for itself is started.
func (m *meter) wire() (int64, error) {
	pids := m.ends.pids()
	if len(pids) == 0 {
		return -1, nil
	}
	return lab.Wire(pids[0])
}

// sample looks at memory every now and then until ctx ends.
func (m *meter) sample(ctx context.Context) {
	tick := time.NewTicker(samplePause)
	defer tick.Stop()
	for {
		m.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look remembers the most memory that any process of the ends has had.
func (m *meter) look() {
	var most, anon int64
	for _, pid := range family(m.ends.pids()) {
		if peak, err := lab.PeakMemory(pid); err == nil {
			most = max(most, peak)
		}
		if held, err := lab.Memory(pid); err == nil {
			anon = max(anon, held)
		}
	}
	if s, ok := m.ends.(spender); ok {
		_, peak := s.spent()
		most = max(most, peak)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak, m.anon = max(m.peak, most), max(m.anon, anon)
}

// cpu returns the processor time of the ends so far.
func (m *meter) cpu() time.Duration {
	var sum time.Duration
	for _, pid := range family(m.ends.pids()) {
		used, err := lab.CPU(pid)
		if err != nil {
			continue // it has ended just now; its parent counts it
		}
		sum += used
	}
	if s, ok := m.ends.(spender); ok {
		used, _ := s.spent()
		sum += used
	}
	return sum
}

// family returns processes with all their descendants that live.
func family(pids []int) []int {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return pids
	}
	for _, name := range stats {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		text := string(raw)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		pid, err := strconv.Atoi(strings.Split(name, "/")[2])
		if err != nil || len(fields) < 2 {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	var all []int
	for queue := append([]int{}, pids...); len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return all
}
