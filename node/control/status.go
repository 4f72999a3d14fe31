package control

import (
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// Status is what `shoal status --json` prints and GET /v1/status answers. Field names are a contract with outside programs.
type Status struct {
	Device    Self           `json:"device"`
	Addresses []string       `json:"addresses"` // full multiaddrs, with /p2p/
	API       string         `json:"api"`       // web address; empty while there is none
	Folders   []FolderStatus `json:"folders"`   // those on this disk, by name
	Devices   []DeviceStatus `json:"devices"`   // the others that are in the mesh now, by name; never this one
	Transfer  Transfer       `json:"transfer"`
	Problems  []Problem      `json:"problems"`
}

// Self names this device.
type Self struct {
	ID   string `json:"id"` // shoal.DeviceID as text
	Name string `json:"name"`
	Role string `json:"role"` // owner, member, reader or vault
}

// FolderState says what a folder is doing.
type FolderState string

// The states of a folder on this disk.
const (
	StateScanning FolderState = "scanning" // looking at the disk
	StateSyncing  FolderState = "syncing"  // something is owed to this disk
	StateIdle     FolderState = "idle"     // the disk was looked at since the last event, nothing is owed to it, no error is pending
	StatePaused   FolderState = "paused"
	StateError    FolderState = "error" // stopped until a person acts; FolderStatus.Error says why
)

// FolderStatus is one folder on this disk. Sizes are bytes.
type FolderStatus struct {
	Name      string      `json:"name"`
	ID        string      `json:"id"`   // shoal.FolderID as text
	Path      Path        `json:"path"` // absolute path of its root
	State     FolderState `json:"state"`
	Error     string      `json:"error"`
	Files     int64       `json:"files"` // regular files that are on this disk now
	Bytes     int64       `json:"bytes"`
	NeedFiles int64       `json:"need_files"` // what this device still lacks
	NeedBytes int64       `json:"need_bytes"`
	Conflicts int64       `json:"conflicts"` // paths with at least one losing sibling
	// Frontier maps journals (shoal.JournalID as text) to how far this device has them.
	Frontier map[string]shoal.Seq `json:"frontier"`
	// CopiesMin is the fewest devices and vaults, this one included, known to hold any one block. A vault counts when its copies are proved: this
	// device gave it the blocks or opened them, or another device signed that it did.
	CopiesMin int `json:"copies_min"`
	// CopiesClaimed is CopiesMin with the vaults that only say that they hold every block.
	CopiesClaimed int `json:"copies_claimed"`
}

// Transport says over what a device is connected.
type Transport string

// The transports; empty while not connected.
const (
	TransportLAN    Transport = "lan"
	TransportDirect Transport = "direct"
	TransportRelay  Transport = "relay"
)

// DeviceStatus is one other device.
type DeviceStatus struct {
	ID        string    `json:"id"` // shoal.DeviceID as text
	Name      string    `json:"name"`
	Role      string    `json:"role"`
	Connected bool      `json:"connected"`
	Address   string    `json:"address"` // multiaddr in use, or the last one known
	Transport Transport `json:"transport"`
	// Heard is when it signed what it wrote last, as far as that came here: by its own clock, never in the future. A running device signs daily. Absent: it has
	// written nothing that came here.
	Heard time.Time `json:"heard,omitzero"`
	// Folders maps folder names to what that device lacks there, as far as it reported; a folder of which it said
	// nothing is absent.
	Folders map[string]Need `json:"folders"`
}

// Need is what a device still lacks in one folder. All zero: it has everything that we know of.
type Need struct {
	NeedFiles int64 `json:"need_files"`
	NeedBytes int64 `json:"need_bytes"`
}

// Transfer is what moves now, over all devices and folders, averaged over the last few seconds.
type Transfer struct {
	InBytesPerS  int64 `json:"in_bytes_per_s"`
	OutBytesPerS int64 `json:"out_bytes_per_s"`
}

// Problem is one thing that is not as it should be and does not stop the rest.
type Problem struct {
	Folder  string    `json:"folder"` // name; empty when it concerns no folder
	Path    Path      `json:"path"`   // in the folder; empty when it concerns no path
	Kind    string    `json:"kind"`   // a word that programs can rely on, such as "unreadable", "name", "space", "revoked"
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// withEmpties returns s with empty lists and maps in place of nil ones, so that JSON shows [] and {}.
func (s Status) withEmpties() Status {
	s.Addresses = orEmpty(s.Addresses)
	s.Problems = orEmpty(s.Problems)
	s.Folders = slices.Clone(orEmpty(s.Folders))
	for i := range s.Folders {
		if s.Folders[i].Frontier == nil {
			s.Folders[i].Frontier = map[string]shoal.Seq{}
		}
	}
	s.Devices = slices.Clone(orEmpty(s.Devices))
	for i := range s.Devices {
		s.Devices[i].Folders = needsOrEmpty(s.Devices[i].Folders)
	}
	return s
}

func needsOrEmpty(m map[string]Need) map[string]Need {
	if m == nil {
		return map[string]Need{}
	}
	return m
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
