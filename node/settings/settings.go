// Package settings keeps what one device was told and must remember: its name, where its folders are, and where others were last seen.
//
// One JSON document in the home, replaced atomically and durably at each change. Store is safe for concurrent use.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/durable"
)

// maxFile bounds the document, in bytes.
const maxFile = 16 << 20

// Folder is one folder on this device's disk.
type Folder struct {
	ID   string `json:"id"`
	Path string `json:"path"` // absolute
	// Joined: the first complete frontier was here once, so absence on disk means deletion.
	Joined bool `json:"joined"`
	Paused bool `json:"paused"`
	// Root is the inode of the root when it was last open. Another one is a copy, or a backup put back: then nothing that is
	// missing in it counts as deleted.
	Root uint64 `json:"root"`
	// Options are what `folder set` changed.
	Options map[string]string `json:"options,omitempty"`
}

// Settings is the document.
type Settings struct {
	Name       string              `json:"name"`
	Folders    []Folder            `json:"folders"`
	Addresses  map[string][]string `json:"addresses"`         // device → where it was last seen
	Entries    []string            `json:"entries,omitempty"` // ways into the hash table that worked
	PhraseSeen bool                `json:"phrase_seen"`
}

// Validate refuses what can't have been written by this package.
func (s *Settings) Validate() error {
	seen := map[string]bool{}
	for _, f := range s.Folders {
		if _, err := shoal.ParseFolderID(f.ID); err != nil {
			return err
		}
		if seen[f.ID] {
			return fmt.Errorf("folder %s is there twice: %w", f.ID, shoal.ErrInvalid)
		}
		seen[f.ID] = true
		if !filepath.IsAbs(f.Path) {
			return fmt.Errorf("folder path %q is not absolute: %w", f.Path, shoal.ErrInvalid)
		}
	}
	return nil
}

// Folder returns the entry of a folder; nil when it is not on this disk.
func (s *Settings) Folder(id shoal.FolderID) *Folder {
	i := slices.IndexFunc(s.Folders, func(f Folder) bool { return f.ID == id.String() })
	if i < 0 {
		return nil
	}
	return &s.Folders[i]
}

// Store is the settings and their file.
type Store struct {
	path string
	mu   sync.Mutex
	now  Settings // guarded by mu
}

// Open reads the file; a missing one is empty settings.
func Open(path string) (*Store, error) {
	s := &Store{path: path}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("settings %s have %d bytes: too large", path, st.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if err := json.Unmarshal(data, &s.now); err != nil {
		return nil, fmt.Errorf("settings %s are damaged: %w", path, err)
	}
	if err := s.now.Validate(); err != nil {
		return nil, fmt.Errorf("settings %s are damaged: %w", path, err)
	}
	return s, nil
}

// Get returns a copy.
func (s *Store) Get() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.now)
}

func clone(s Settings) Settings {
	s.Folders = slices.Clone(s.Folders)
	for i := range s.Folders {
		s.Folders[i].Options = maps.Clone(s.Folders[i].Options)
	}
	addrs := make(map[string][]string, len(s.Addresses))
	for k, v := range s.Addresses {
		addrs[k] = slices.Clone(v)
	}
	s.Addresses = addrs
	s.Entries = slices.Clone(s.Entries)
	return s
}

// Update changes the settings; they are durable when it returns nil, and unchanged when it does not.
func (s *Store) Update(fn func(*Settings)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := clone(s.now)
	fn(&next)
	if err := next.Validate(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(&next, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(s.path, append(data, '\n')); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	s.now = next
	return nil
}
