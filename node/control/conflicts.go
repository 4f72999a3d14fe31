package control

import (
	"context"
	"time"

	"github.com/shoalmesh/shoal"
)

// Conflicts lists conflicts and settles them.
type Conflicts interface {
	// Conflicts lists every path with a losing sibling, by folder and path.
	Conflicts(ctx context.Context) ([]Conflict, error)
	// ResolveConflict settles the conflict at a path, which is a file with conflict copies or one of these copies.
	//   - KeepWinner at the file drops all its copies; at a copy only that one, the others become ordinary files.
	//   - KeepCopy makes the content of the copy that of the file. At a file with several copies it is CodeUsage: name one.
	//   - KeepBoth makes every copy an ordinary file under its conflict name.
	// No conflict at the path is an error that wraps ErrNotFound.
	ResolveConflict(ctx context.Context, at Location, keep Keep) error
}

// Location is a path in a folder. An empty path is the folder itself.
type Location struct {
	Folder shoal.FolderID
	Path   shoal.Path
}

// Keep says which side of a conflict stays.
type Keep string

// The ways to settle a conflict.
const (
	KeepWinner Keep = "winner"
	KeepCopy   Keep = "copy"
	KeepBoth   Keep = "both"
)

// Validate refuses what is none of the three, as CodeUsage.
func (k Keep) Validate() error {
	switch k {
	case KeepWinner, KeepCopy, KeepBoth:
		return nil
	case "":
		return Errorf(CodeUsage, "which side is to stay? %s, %s or %s", KeepWinner, KeepCopy, KeepBoth)
	}
	return Errorf(CodeUsage, "keep %q: it is %s, %s or %s", string(k), KeepWinner, KeepCopy, KeepBoth)
}

// Conflict is one path with losing siblings.
type Conflict struct {
	Folder string `json:"folder"` // name
	Path   Path   `json:"path"`   // in the folder
	// Abs is the absolute path on this disk. The server fills it in.
	Abs    Path   `json:"abs"`
	Winner Side   `json:"winner"`
	Copies []Side `json:"copies"` // the losing siblings
}

// Side is one side of a conflict.
type Side struct {
	Path   Path      `json:"path"` // in the folder: the file, or the name of the conflict copy
	Abs    Path      `json:"abs"`  // the same on this disk; filled in by the server
	Kind   string    `json:"kind"` // shoal.Kind as text
	Device string    `json:"device"`
	Time   time.Time `json:"time"` // of the record
	Size   int64     `json:"size"` // bytes
}

// resolveRequest is the body of POST /v1/conflicts/resolve.
type resolveRequest struct {
	Folder string `json:"folder"` // name or ID; empty: Path is absolute
	Path   Path   `json:"path"`
	Keep   Keep   `json:"keep"`
}

func (r *resolveRequest) Validate() error {
	if err := r.Keep.Validate(); err != nil {
		return err
	}
	if r.Path == "" {
		return Errorf(CodeUsage, "no path given")
	}
	return nil
}
