package mesh

import (
	"io"
	"time"

	"github.com/shoalmesh/shoal"
)

// Limits of a roster.
const (
	MaxStatementBytes = 64 << 10
	MaxStatements     = 100_000
)

// Signer makes statements: an *Identity, or the *Root.
type Signer interface {
	// Device returns the signer's public key.
	Device() shoal.DeviceID
	// Sign signs msg under a label.
	Sign(label string, msg []byte) []byte
	openEnvelope(info, sealed []byte) ([]byte, error)
}

var (
	_ Signer = (*Identity)(nil)
	_ Signer = (*Root)(nil)
)

// Roster is a set of statements. It is not safe for concurrent use; the States that it returns are.
type Roster struct{}

// Cut says how much of one journal counts: up to Seq, whose head hashes to Head.
type Cut struct {
	Seq  shoal.Seq
	Head [32]byte
}

// Create begins a mesh: genesis by the root, and the admission of its first owner.
func Create(root *Root, owner *Identity, ownerName string, rand io.Reader, now time.Time) (*Roster, error) {
	return nil, ErrNotAllowed
}

// NewRoster returns an empty set. The first genesis statement that Add accepts decides which mesh it is.
func NewRoster() *Roster { return &Roster{} }

// Add adds one statement as it travelled. added is false when it was there already or is held because a statement that it
// names is missing. Errors: ErrForged, ErrMalformed, ErrTooLarge, ErrOtherMesh, ErrRefused, ErrFull.
func (r *Roster) Add(raw []byte) (added bool, err error) { return false, ErrMalformed }

// OpenNames lets the states of this roster show the names of devices and folders, as far as id has the keys.
func (r *Roster) OpenNames(id *Identity) {}

// Mesh returns the mesh ID; zero while there is no genesis statement.
func (r *Roster) Mesh() shoal.MeshID { return shoal.MeshID{} }

// Statements returns all accepted statements, each after what it names.
func (r *Roster) Statements() [][]byte { return nil }

// Since returns the accepted statements that are not known to somebody who has heads, each after what it names.
func (r *Roster) Since(heads []Hash) [][]byte { return nil }

// Missing returns what held statements wait for.
func (r *Roster) Missing() []Hash { return nil }

// Heads returns the statements that no other names, sorted.
func (r *Roster) Heads() []Hash { return nil }

// Has tells whether a statement is accepted.
func (r *Roster) Has(h Hash) bool { return false }

// Count returns the number of accepted statements.
func (r *Roster) Count() int { return 0 }

// State evaluates the set.
func (r *Roster) State() *State { return &State{} }

// Admit lets a device in and gives it the keys that by can open (a vault gets none).
func (r *Roster) Admit(by Signer, dev shoal.DeviceID, hpkePublic []byte, name string, role Role, now time.Time) error {
	return ErrNotAllowed
}

// Revoke shuts a device out for ever. cuts names each of its journals with the last head that counts.
func (r *Roster) Revoke(by Signer, dev shoal.DeviceID, cuts map[shoal.JournalID]Cut, now time.Time, rand io.Reader) error {
	return ErrNotAllowed
}

// SetRole gives a device another role; cuts as for Revoke when it takes away the right to write.
func (r *Roster) SetRole(by Signer, dev shoal.DeviceID, role Role, cuts map[shoal.JournalID]Cut, now time.Time) error {
	return ErrNotAllowed
}

// AddFolder makes a folder and its first epoch.
func (r *Roster) AddFolder(by Signer, name string, now time.Time, rand io.Reader) (shoal.FolderID, error) {
	return shoal.FolderID{}, ErrNotAllowed
}

// RenameDevice gives a device another name.
func (r *Roster) RenameDevice(by Signer, dev shoal.DeviceID, name string, now time.Time) error {
	return ErrNotAllowed
}

// RenameFolder gives a folder another name.
func (r *Roster) RenameFolder(by Signer, f shoal.FolderID, name string, now time.Time) error {
	return ErrNotAllowed
}

// NewEpoch begins a new generation of a folder's keys.
func (r *Roster) NewEpoch(by Signer, f shoal.FolderID, now time.Time, rand io.Reader) (shoal.EpochID, error) {
	return shoal.EpochID{}, ErrNotAllowed
}

// Tend makes what is lacking and by can make: epochs for folders that have none to write under, envelopes for devices that
// have none. It returns the number of statements made.
func (r *Roster) Tend(by Signer, now time.Time, rand io.Reader) (int, error) { return 0, nil }

// FolderKeys returns the keys of a folder that id can open; ErrNoKey when there is none yet, ErrUnknown when there is no such
// folder. The zero FolderID stands for the mesh itself.
func (r *Roster) FolderKeys(id *Identity, f shoal.FolderID) (*FolderKeys, error) {
	return nil, ErrNoKey
}
