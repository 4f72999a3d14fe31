package mesh

import (
	"time"

	"github.com/shoalmesh/shoal"
)

// State is what a set of statements says: who is in the mesh, and which folders exist. It is immutable and safe for concurrent use.
type State struct {
	mesh     shoal.MeshID
	devices  []Device
	folders  []Folder
	problems []Problem
	deviceAt map[shoal.DeviceID]int
	folderAt map[shoal.FolderID]int
	cuts     map[shoal.JournalID]Cut
	records  map[shoal.DeviceID]bool // devices whose records all count: in the mesh, and may write
}

// Device is one admitted device, or one that was admitted and then revoked.
type Device struct {
	ID shoal.DeviceID
	// Name is unique within the mesh: of several devices with one name the later get "-2", "-3" …. A roster that cannot open names
	// (a vault's, or before OpenNames) shows "device-" and the ID's last characters.
	Name string
	// AdmittedAs is the name in the admission statement, which never changes and need not be unique. Conflict copies carry it.
	AdmittedAs string
	Role       Role
	Revoked    bool
	HPKE       []byte // public key for envelopes; not to be changed
	AdmittedBy shoal.DeviceID
	AdmittedAt time.Time // by the admitter's clock: a hint
}

// Folder is one folder of the mesh.
type Folder struct {
	ID   shoal.FolderID
	Name string // unique within the mesh, made so like Device.Name; "folder-" and the first ID digits when it cannot be opened
}

// Problem is a statement that is part of the roster but counts for nothing, for `doctor`. After a revocation it is quite normal that
// there are some: what the revoked signed later.
type Problem struct {
	Statement Hash
	Signer    shoal.DeviceID
	Kind      string // what it says: "admit", "epoch" …, or "kind 99" for one that this version does not know
	Reason    string // for people; of several reasons always the same one
}

// Mesh returns the hash of the genesis statement; zero while there is none.
func (s *State) Mesh() shoal.MeshID { return s.mesh }

// Devices returns all devices that were ever validly admitted, in order of admission. The caller owns the slice.
func (s *State) Devices() []Device { return append([]Device(nil), s.devices...) }

// Device returns what is known of one device; false when it was never validly admitted.
func (s *State) Device(id shoal.DeviceID) (Device, bool) {
	i, ok := s.deviceAt[id]
	if !ok {
		return Device{}, false
	}
	return s.devices[i], true
}

// Admitted tells whether a device is in the mesh now: admitted and not revoked.
func (s *State) Admitted(id shoal.DeviceID) bool {
	d, ok := s.Device(id)
	return ok && !d.Revoked
}

// Folders returns the folders of the mesh in order of creation. The caller owns the slice.
func (s *State) Folders() []Folder { return append([]Folder(nil), s.folders...) }

// Folder returns one folder.
func (s *State) Folder(id shoal.FolderID) (Folder, bool) {
	i, ok := s.folderAt[id]
	if !ok {
		return Folder{}, false
	}
	return s.folders[i], true
}

// MayWrite tells whether a device may add records to a folder now.
func (s *State) MayWrite(id shoal.DeviceID, f shoal.FolderID) bool {
	_, known := s.folderAt[f]
	return known && s.records[id]
}

// Cut tells how much of a journal counts in a folder. cut is false when all of it does. Otherwise records above seq are void
// (all of them when seq is 0), and head is the hash of the head at seq.
func (s *State) Cut(f shoal.FolderID, j shoal.JournalID) (seq shoal.Seq, head [32]byte, cut bool) {
	if s.MayWrite(j.Device, f) {
		return 0, head, false
	}
	c := s.cuts[j]
	return c.Seq, c.Head, true
}

// Problems returns the statements that count for nothing, with the reason, in order of arrival. The caller owns the slice.
func (s *State) Problems() []Problem { return append([]Problem(nil), s.problems...) }
