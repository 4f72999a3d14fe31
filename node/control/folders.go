package control

import (
	"context"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/shoalmesh/shoal"
)

// Folders says which folders of the mesh are on this disk, and where. Directories are absolute paths on this disk.
type Folders interface {
	// Folders lists every folder of the mesh by name, those that are not on this disk too.
	Folders(ctx context.Context) ([]Folder, error)
	// AddFolder makes a new folder of the mesh from the directory dir, which is created when absent.
	AddFolder(ctx context.Context, dir, name string) (Folder, error)
	// JoinFolder begins to keep a folder of the mesh in dir. It returns before the content is there.
	JoinFolder(ctx context.Context, id shoal.FolderID, dir string) (Folder, error)
	// MoveFolder says that the root was moved to dir, where its marker must be.
	MoveFolder(ctx context.Context, id shoal.FolderID, dir string) (Folder, error)
	// RemoveFolder ends the keeping of a folder on this disk. No file is deleted, here or elsewhere.
	RemoveFolder(ctx context.Context, id shoal.FolderID) error
}

// Upkeep looks after one folder that is on this disk.
type Upkeep interface {
	// Rescan looks at the whole disk of a folder now and returns when it has.
	Rescan(ctx context.Context, id shoal.FolderID) error
	// Confirm answers the question of a mass deletion. Without such a question it fails.
	Confirm(ctx context.Context, id shoal.FolderID, answer Answer) error
	// Pause stops recording and applying until Resume. Pausing twice is pausing once.
	Pause(ctx context.Context, id shoal.FolderID) error
	Resume(ctx context.Context, id shoal.FolderID) error
	// Set changes settings, all or none. An unknown key or a value that does not fit is CodeUsage.
	Set(ctx context.Context, id shoal.FolderID, settings map[string]string) error
}

// Folder is one folder of the mesh, as listed.
type Folder struct {
	Name     string            `json:"name"`
	ID       string            `json:"id"`    // shoal.FolderID as text
	Here     bool              `json:"here"`  // it is on this disk
	Path     Path              `json:"path"`  // absolute path of its root; empty when not here
	State    FolderState       `json:"state"` // empty when not here
	Settings map[string]string `json:"settings"`
}

func (f Folder) withEmpties() Folder {
	if f.Settings == nil {
		f.Settings = map[string]string{}
	}
	return f
}

// Answer is what a person says to the question of a mass deletion.
type Answer string

// The answers.
const (
	AnswerDeletions Answer = "deletions" // they were meant: record them
	AnswerRestore   Answer = "restore"   // they were not: bring the files back
)

// addFolderRequest is the body of POST /v1/folders.
type addFolderRequest struct {
	Dir  Path   `json:"dir"`
	Name string `json:"name"` // empty: the last name of Dir
}

func (r *addFolderRequest) Validate() error {
	if err := validateDir(r.Dir); err != nil {
		return err
	}
	if r.Name == "" {
		r.Name = filepath.Base(filepath.Clean(string(r.Dir)))
	}
	return validateName("folder", r.Name)
}

// dirRequest is the body of join and move.
type dirRequest struct {
	Dir Path `json:"dir"`
}

func (r *dirRequest) Validate() error { return validateDir(r.Dir) }

// confirmRequest is the body of confirm.
type confirmRequest struct {
	Answer Answer `json:"answer"`
}

func (r *confirmRequest) Validate() error {
	if r.Answer != AnswerDeletions && r.Answer != AnswerRestore {
		return Errorf(CodeUsage, "answer %q: it is %q or %q", r.Answer, AnswerDeletions, AnswerRestore)
	}
	return nil
}

// setRequest is the body of set.
type setRequest struct {
	Settings map[string]string `json:"settings"`
}

func (r *setRequest) Validate() error {
	if len(r.Settings) == 0 {
		return Errorf(CodeUsage, "no setting given")
	}
	for key := range r.Settings {
		if key == "" {
			return Errorf(CodeUsage, "setting without a name")
		}
	}
	return nil
}

func validateDir(dir Path) error {
	if !filepath.IsAbs(string(dir)) || strings.IndexByte(string(dir), 0) >= 0 {
		return Errorf(CodeUsage, "directory %q is not an absolute path", string(dir))
	}
	return nil
}

// maxName bounds the names of folders and devices, in bytes.
const maxName = 128

// validateName holds names of folders and devices to what can be typed and shown: valid UTF-8 without control characters,
// slashes, blanks at the ends or only dots.
func validateName(what, name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return Errorf(CodeUsage, "a %s's name has 1 to %d bytes", what, maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError || r == '/' || r == '\\' }):
		return Errorf(CodeUsage, "%s name %q holds a character that names do not have", what, name)
	case strings.TrimSpace(name) != name, name == ".", name == "..":
		return Errorf(CodeUsage, "%s name %q is none: dots alone, or a blank at an end", what, name)
	}
	return nil
}
