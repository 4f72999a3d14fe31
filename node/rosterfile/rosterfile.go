// Package rosterfile keeps a mesh's roster on disk and in memory: the statements in an append-only file, and the set they make.
//
// The file is apart from the index, so that a device whose database is damaged still knows who it is and whom it trusts.
// Layout: per statement its length (4 bytes, big-endian), its CRC-32 (IEEE, 4 bytes), its bytes. What follows the last whole statement, a torn tail or all that comes
// after a damage, is moved to a file of its own beside it (see Store.Cut): whole statements may be in it.
// Store is safe for concurrent use.
package rosterfile

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/mesh"
)

// maxStatement bounds one statement in the file, in bytes; the roster format allows less.
const maxStatement = 1 << 20

// maxFile bounds the file, in bytes.
const maxFile = 1 << 30

// Store is a roster and its file.
type Store struct {
	id    *mesh.Identity
	saved func(error) // told how each save ended
	cut   string

	mu      sync.Mutex
	file    *os.File                            // guarded by mu
	size    int64                               // guarded by mu; of the statements in the file: the next are written there
	roster  *mesh.Roster                        // guarded by mu
	written map[[32]byte]bool                   // guarded by mu; SHA-256 of the statements that are durable in the file
	state   *mesh.State                         // guarded by mu; of roster
	keys    map[shoal.FolderID]*mesh.FolderKeys // guarded by mu; of state
}

// Open reads the file at path, or begins an empty one. id opens names and keys. saved is told how each save ended, with the store locked; nil for nobody.
func Open(path string, id *mesh.Identity, saved func(error)) (*Store, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open roster: %w", err)
	}
	if saved == nil {
		saved = func(error) {}
	}
	s := &Store{id: id, saved: saved, file: f, roster: mesh.NewRoster(), written: map[[32]byte]bool{}}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("read roster %s: %w", path, err), f.Close())
	}
	s.evaluate()
	return s, nil
}

func (s *Store) load() error {
	st, err := s.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() > maxFile {
		return fmt.Errorf("%d bytes: too large", st.Size())
	}
	data, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	good := 0
	for {
		raw, n := next(data[good:])
		if n == 0 {
			break
		}
		if _, err := s.roster.Add(raw); err != nil {
			return fmt.Errorf("statement %d: %w", len(s.written), err)
		}
		s.written[sha256.Sum256(raw)] = true
		good += n
	}
	if good < len(data) {
		if err := s.putAside(data[good:]); err != nil {
			return err
		}
	}
	s.size = int64(good)
	return s.file.Truncate(s.size)
}

// putAside saves what is about to be cut off.
func (s *Store) putAside(tail []byte) error {
	s.cut = fmt.Sprintf("%s.cut-%08x", s.file.Name(), crc32.ChecksumIEEE(tail))
	f, err := os.OpenFile(s.cut, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(tail)
	return errors.Join(err, f.Sync(), f.Close())
}

// Cut names the file with what Open could not read as statements; "" when it read all.
func (s *Store) Cut() string { return s.cut }

// next returns the first statement in data and its length with header; 0 when there is none that is whole.
func next(data []byte) (raw []byte, n int) {
	if len(data) < 8 {
		return nil, 0
	}
	size := int(binary.BigEndian.Uint32(data))
	if size == 0 || size > maxStatement || len(data) < 8+size {
		return nil, 0
	}
	raw = data[8 : 8+size]
	if crc32.ChecksumIEEE(raw) != binary.BigEndian.Uint32(data[4:]) {
		return nil, 0
	}
	return raw, 8 + size
}

// Update changes the roster and makes what was added durable before it returns. When fn fails nothing is saved, but what it
// added to the roster stays in memory until the next Update saves it.
func (s *Store) Update(fn func(r *mesh.Roster) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := fn(s.roster)
	if s.roster.Count() == len(s.written) {
		return err
	}
	return errors.Join(err, s.save())
}

// save makes the statements durable that the file lacks. When it fails they are written again, at the same place, by the next save.
func (s *Store) save() error {
	err := s.append()
	if err != nil {
		err = fmt.Errorf("save roster: %w", err)
	}
	s.saved(err)
	if err == nil {
		s.evaluate()
	}
	return err
}

func (s *Store) append() error {
	var out []byte
	var fresh [][32]byte
	for _, raw := range s.roster.Statements() {
		h := sha256.Sum256(raw)
		if s.written[h] {
			continue
		}
		fresh = append(fresh, h)
		out = binary.BigEndian.AppendUint32(out, uint32(len(raw)))
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(raw))
		out = append(out, raw...)
	}
	if _, err := s.file.WriteAt(out, s.size); err != nil {
		return err
	}
	crashpoint.Here("roster: written")
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.size += int64(len(out))
	for _, h := range fresh {
		s.written[h] = true
	}
	crashpoint.Here("roster: synced")
	return nil
}

// Replace puts another roster in the place of an empty one: that of a mesh just made or joined.
func (s *Store) Replace(r *mesh.Roster) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roster.Count() > 0 {
		return errors.New("this device is in a mesh already")
	}
	s.roster = r
	return s.save()
}

// evaluate caches what the statements say. The caller holds mu, or is Open.
func (s *Store) evaluate() {
	s.roster.OpenNames(s.id)
	s.state = s.roster.State()
	s.keys = map[shoal.FolderID]*mesh.FolderKeys{}
	if s.roster.Count() == 0 {
		return
	}
	if k, err := s.roster.FolderKeys(s.id, shoal.FolderID{}); err == nil {
		s.keys[shoal.FolderID{}] = k
	}
	for _, f := range s.state.Folders() {
		if k, err := s.roster.FolderKeys(s.id, f.ID); err == nil {
			s.keys[f.ID] = k
		}
	}
}

// State returns what the statements say now.
func (s *Store) State() *mesh.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Keys returns the keys of a folder, the zero one for the mesh itself; nil when this device has none.
func (s *Store) Keys(f shoal.FolderID) *mesh.FolderKeys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[f]
}

// View runs fn with the roster; fn must not change it.
func (s *Store) View(fn func(r *mesh.Roster)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(s.roster)
}

// Heads returns the roster's heads.
func (s *Store) Heads() []mesh.Hash {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.Heads()
}

// Has tells whether a statement is here.
func (s *Store) Has(h mesh.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.Has(h)
}

// Since returns the statements that somebody who has heads lacks.
func (s *Store) Since(heads []mesh.Hash) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roster.Since(heads)
}

// Add takes in statements from elsewhere and tells whether any was new; those are durable then. The error is of the first one that
// nobody honest would have sent.
func (s *Store) Add(raw [][]byte) (grew bool, err error) {
	uerr := s.Update(func(r *mesh.Roster) error {
		for _, stmt := range raw {
			added, aerr := r.Add(stmt)
			grew = grew || added
			if aerr != nil && err == nil {
				err = aerr
			}
		}
		return nil
	})
	return grew, errors.Join(err, uerr)
}

// Close closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}
