package neighbours

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/p2p/internal/address"
)

const (
	// noteAge is the age at which a file that nobody has renewed counts as left behind by a crash. The short one is for
	// nameplates, of which there are few and which nobody shows for more than ten minutes.
	noteAge  = 3 * time.Hour
	plateAge = 15 * time.Minute
	// noteRenewal is how often a running host writes its files anew.
	noteRenewal = 30 * time.Minute
	// maxNotes bounds the files that are looked at in one folder.
	maxNotes = 16384
)

// Board lets hosts of one user on one machine find each other without multicast: each leaves its signed address
// record in a file of a folder that only the user can write to. Nothing there is trusted beyond its signature.
//
//	device-<device ID>                the record of a running host
//	plate-<nameplate>-<device ID>     the same, while a code with that nameplate is open
//
// A crash leaves files behind; they name addresses at which nobody answers, and are removed when they are old.
// Safe for concurrent use.
type Board struct {
	dirs []string

	mu     sync.Mutex // guards own, plates, and the writing of files
	own    *address.Record
	plates map[uint32]bool
}

// New returns a board in these folders; an empty list means that nobody is found.
func New(dirs []string) *Board {
	return &Board{dirs: dirs, plates: make(map[uint32]bool)}
}

func deviceNote(dev shoal.DeviceID) string { return "device-" + dev.String() }

func plateNote(plate uint32, dev shoal.DeviceID) string {
	return fmt.Sprintf("plate-%d-%s", plate, dev)
}

// Publish puts r where neighbours look for it. A folder that cannot be used is left out: this is one way of several.
func (n *Board) Publish(r *address.Record) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.own = r
	n.write()
}

// Show makes plates the nameplates under which this host is found.
func (n *Board) Show(plates map[uint32]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own != nil {
		for p := range n.plates {
			if !plates[p] {
				n.remove(plateNote(p, n.own.Device))
			}
		}
	}
	n.plates = plates
	n.write()
}

// write writes every file anew; the caller holds mu.
func (n *Board) write() {
	if n.own == nil {
		return
	}
	raw, err := address.Encode(n.own)
	if err != nil {
		return
	}
	names := []string{deviceNote(n.own.Device)}
	for p := range n.plates {
		names = append(names, plateNote(p, n.own.Device))
	}
	for _, dir := range n.dirs {
		if usableDir(dir) != nil {
			continue
		}
		for _, name := range names {
			_ = replaceNote(dir, name, raw)
		}
	}
}

// replaceNote writes a file so that a reader sees the old or the new form.
func replaceNote(dir, name string, raw []byte) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// remove deletes a file from every folder; the caller holds mu.
func (n *Board) remove(name string) {
	for _, dir := range n.dirs {
		_ = os.Remove(filepath.Join(dir, name)) // gone already is as good
	}
}

// Clear removes all files of this host.
func (n *Board) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.own == nil {
		return
	}
	n.remove(deviceNote(n.own.Device))
	for p := range n.plates {
		n.remove(plateNote(p, n.own.Device))
	}
	n.own, n.plates = nil, make(map[uint32]bool)
}

// Find reads the record of dev, if it runs on this machine.
func (n *Board) Find(dev shoal.DeviceID) (*address.Record, bool) {
	for _, dir := range n.dirs {
		if r, err := readNote(dir, deviceNote(dev)); err == nil && r.Device == dev {
			return r, true
		}
	}
	return nil, false
}

// Inviters lists the hosts on this machine that show a nameplate.
func (n *Board) Inviters(plate uint32) []*address.Record {
	prefix := fmt.Sprintf("plate-%d-", plate)
	var out []*address.Record
	n.each(func(dir, name string) {
		if !strings.HasPrefix(name, prefix) {
			return
		}
		if r, err := readNote(dir, name); err == nil && name == prefix+r.Device.String() {
			out = append(out, r)
		}
	})
	return out
}

// PlateTaken tells whether any host on this machine shows a nameplate.
func (n *Board) PlateTaken(plate uint32) bool {
	prefix, taken := fmt.Sprintf("plate-%d-", plate), false
	n.each(func(dir, name string) {
		if !taken && strings.HasPrefix(name, prefix) {
			st, err := os.Lstat(filepath.Join(dir, name))
			taken = err == nil && !isOld(st)
		}
	})
	return taken
}

// each calls f for the files of every usable folder.
func (n *Board) each(f func(dir, name string)) {
	for _, dir := range n.dirs {
		if checkDir(dir) != nil {
			continue
		}
		d, err := os.Open(dir)
		if err != nil {
			continue
		}
		names, _ := d.Readdirnames(maxNotes) // what could be read is as good as it gets
		_ = d.Close()
		for _, name := range names {
			f(dir, name)
		}
	}
}

// isOld tells whether a file is what a crash has left.
func isOld(st os.FileInfo) bool {
	age := noteAge
	if strings.HasPrefix(st.Name(), "plate-") {
		age = plateAge
	}
	return time.Since(st.ModTime()) > age
}

// readNote reads and verifies one file.
func readNote(dir, name string) (*address.Record, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || isOld(st) {
		return nil, fmt.Errorf("read %s: %w", path, address.ErrMalformed)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, 2*address.MaxRecordBytes))
	if err != nil {
		return nil, err
	}
	return address.DecodeRecord(raw)
}

// Run keeps this host's files fresh and removes what crashed hosts left, until ctx ends.
func (n *Board) Run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(noteRenewal)
	defer tick.Stop()
	for {
		n.each(func(dir, name string) {
			path := filepath.Join(dir, name)
			if st, err := os.Lstat(path); err == nil && isOld(st) {
				log.Debug("remove old address file", "path", path)
				_ = os.Remove(path)
			}
		})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.mu.Lock()
		n.write()
		n.mu.Unlock()
	}
}

// usableDir makes a folder that only this user can use, or says why it cannot be used.
func usableDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return checkDir(dir)
}
