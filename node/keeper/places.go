package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/durable"
)

// Names in the data folder of the whole vault.
const (
	tenantsFolder = "tenants"
	noteFile      = "tenant.json"
	vacantPrefix  = ".vacant-" // folders of vaults that wait for a mesh; they end with the process
)

// maxTenants bounds the meshes of one process, and its open invitations.
const maxTenants = 256

// shortName is what a tenant's folder is called: the beginning of its mesh's ID.
func shortName(m shoal.MeshID) string { return m.String()[:12] }

var tenantName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// note is what a tenant's folder says of its place in the process.
type note struct {
	Slot  int       `json:"slot"`           // which of the vault's ports it listens on; see listenAt
	Moved time.Time `json:"moved,omitzero"` // it was exported: it lives elsewhere, and must never run here again
	Mesh  string    `json:"mesh,omitempty"` // of one that was exported
}

// maxNote bounds an encoded note, in bytes.
const maxNote = 4 << 10

func parseNote(raw []byte) (n note, err error) {
	if len(raw) > maxNote {
		return n, fmt.Errorf("note of %d bytes: %w", len(raw), shoal.ErrInvalid)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&n); err != nil {
		return note{}, fmt.Errorf("read note: %w", err)
	}
	if _, more := dec.Token(); !errors.Is(more, io.EOF) {
		return note{}, fmt.Errorf("something follows the note: %w", shoal.ErrInvalid)
	}
	if n.Slot < 0 || n.Slot > 2*maxTenants {
		return note{}, fmt.Errorf("slot %d: %w", n.Slot, shoal.ErrInvalid)
	}
	return n, nil
}

// place is the folder of one tenant. The first tenant of a vault may live in the data folder itself.
type place struct {
	dir  string
	root bool
	note note
	err  error // why it can't run: its note is damaged
}

func (p *place) file(name string) string { return filepath.Join(p.dir, name) }

// load reads the note; none is that of slot 0.
func (p *place) load() {
	raw, err := os.ReadFile(p.file(noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		p.note, err = parseNote(raw)
	}
	if err != nil {
		p.err = fmt.Errorf("read %s: %w", p.file(noteFile), err)
	}
}

func (p *place) save() error {
	raw, err := json.MarshalIndent(&p.note, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(p.file(noteFile), append(raw, '\n'))
}

// there tells whether a tenant lives here: it has a roster.
func (p *place) there() bool {
	info, err := os.Stat(p.file(rosterFile))
	return err == nil && info.Size() > 0
}

// findPlaces lists the folders of all tenants, that in the data folder itself first, and clears away what an interrupted invitation or join left.
func findPlaces(data string) ([]place, error) {
	var out []place
	first := place{dir: data, root: true}
	if first.there() {
		first.load()
		out = append(out, first)
	}
	list, err := os.ReadDir(filepath.Join(data, tenantsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for tenants: %w", err)
	}
	for _, item := range list {
		p := place{dir: filepath.Join(data, tenantsFolder, item.Name())}
		switch {
		case !item.IsDir():
		case tenantName.MatchString(item.Name()) && p.there():
			p.load()
			out = append(out, p)
		case tenantName.MatchString(item.Name()), len(item.Name()) > len(vacantPrefix) && item.Name()[:len(vacantPrefix)] == vacantPrefix:
			if err := os.RemoveAll(p.dir); err != nil {
				return nil, fmt.Errorf("clear %s: %w", p.dir, err)
			}
		}
	}
	if len(out) > maxTenants {
		return nil, fmt.Errorf("%d tenants; the most is %d", len(out), maxTenants)
	}
	return out, nil
}

// ownFiles are the names that a tenant has in its folder. All else in the data folder of the vault is not its.
var ownFiles = []string{keyFile, rosterFile, databaseFile, packFolder, vaultFile, settingsFile, seedFile, noteFile}

// putAside moves a tenant's data to where it is not started any more, and returns where. With del it is deleted.
func (p *place) putAside(data string, mesh shoal.MeshID, del bool, now time.Time) (string, error) {
	aside := filepath.Join(data, tenantsFolder, shortName(mesh)+".removed-"+now.UTC().Format("20060102T150405"))
	if !p.root {
		if del {
			return "", os.RemoveAll(p.dir)
		}
		return aside, os.Rename(p.dir, aside)
	}
	if !del {
		if err := os.MkdirAll(aside, 0o700); err != nil {
			return "", err
		}
	}
	list, err := os.ReadDir(p.dir)
	if err != nil {
		return "", err
	}
	for _, item := range list {
		if !slices.Contains(ownFiles, item.Name()) {
			continue
		}
		if del {
			err = errors.Join(err, os.RemoveAll(p.file(item.Name())))
		} else {
			err = errors.Join(err, os.Rename(p.file(item.Name()), filepath.Join(aside, item.Name())))
		}
	}
	return aside, err
}
