package folder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/ignore"
	"github.com/shoalmesh/shoal/index"
)

// Errors that a caller decides on.
var (
	// ErrRootGone: the folder's root is missing, was replaced, or lost its marker. Nothing is read or written until it is back.
	ErrRootGone = errors.New("the folder's root is missing or is not the one that was added")
	// ErrDiskFull: less than the reserve is free; nothing new is put on the disk until there is room.
	ErrDiskFull = errors.New("the disk is nearly full")
	// ErrWaitJournal: changes wait to be recorded until it is known which journal they go to.
	ErrWaitJournal = errors.New("waiting to learn whether the last journal may be continued")
)

// Config is what an Engine works with. All fields without a default are required.
type Config struct {
	Index *index.Folder
	FS    disk.FS
	Keys  *block.Keys
	Self  shoal.DeviceID
	Now   func() time.Time
	Log   *slog.Logger
	// Workers hash files in parallel; default 1, which also makes the order of disk accesses fixed.
	Workers int
	// Access tells what this device may do here; nil for AccessWrite.
	Access func() Access
	// RootMoved tells whether another folder now stands where the root was; nil for "never".
	RootMoved func() bool
	// Happened is told of each path that was recorded or applied; nil for nobody.
	Happened func(Happening)
	// Changed is called after each commit that wrote records or changed what is known of the disk; nil for nobody.
	Changed func()
	// Cached returns the plaintext of a small block that came along with its record. It must be safe for concurrent use; nil for none.
	Cached func(block.ID) ([]byte, bool)
	// Holds is told of blocks that can be read here from now on: those of a content put in its place, the parts of a recipe. It must be safe for
	// concurrent use; nil for nobody.
	Holds func([]block.ID)
	// NewestFirst fetches, of what a plan finds to fetch at once, what was modified last first, instead of in the order of the tree: for a folder that
	// fills again and is worked in meanwhile.
	NewestFirst bool
	// MinFree is the space, in bytes, that is never used up; default a fiftieth of the disk, at most 64 MiB.
	MinFree int64
}

// Engine is the state machine of one folder on one disk. It is not safe for concurrent use, but for Job's methods.
type Engine struct {
	Config

	rootDevice uint64
	ignored    *ignore.Matcher
	joining    bool // nothing is recorded until one complete frontier is here
	adopting   bool // the first look after joining: what differs is recorded so that it loses

	weak      map[shoal.Path]reread       // files to hash again: changed within the clock's granularity, or while being read
	excused   map[shoal.Path]string       // wanted, but can't be on this disk, with the reason
	homeless  map[shoal.Path]*index.State // of these what this disk can't hold
	jobs      map[shoal.Path]*Job         // content being assembled, by the path that wants it
	recent    *recentContent              // content lately moved to history, still good as a source of blocks
	trees     refTrees                    // the reference tree that a vault asked for last
	late      []lateFile                  // files taken away lately that somebody may still write to
	deletions deletionGuard
	problems  map[problemKey]Problem
	waits     map[shoal.Path]busyWait // files that somebody has open for writing
	dirty     map[shoal.Path]bool     // folders to look at again before anything else; true: with everything below
	leaving   map[shoal.Path]bool     // conflict copies that the scan which is being recorded found deleted or renamed
	writing   map[string]*Job         // jobs that were begun and have not ended, by temporary file; some of them were dropped
	active    *activeJobs             // jobs that may already serve blocks
	serial    uint64                  // makes names in .shoal unique within a run
	canRecord bool
	overtaken bool // a scan said what is at a path that a job is for
	untidy    bool // contents may lie in the temporary folder that nobody wants any more

	foldsCase bool      // names that differ in case are one to this disk
	metaDir   disk.Stat // of our own folder
}

// New makes the engine of a folder whose root carries our marker. Recover must be called before anything else.
func New(c Config) (*Engine, error) {
	if c.Workers == 0 {
		c.Workers = 1
	}
	if c.MinFree == 0 {
		c.MinFree = 64 << 20
		if _, total, err := c.FS.Space(); err == nil {
			c.MinFree = min(c.MinFree, total/50)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	root, err := c.FS.Lstat("")
	if err != nil {
		return nil, fmt.Errorf("look at the folder's root: %w", err)
	}
	e := &Engine{
		Config: c, rootDevice: root.Device,
		weak: map[shoal.Path]reread{}, excused: map[shoal.Path]string{}, homeless: map[shoal.Path]*index.State{}, jobs: map[shoal.Path]*Job{}, writing: map[string]*Job{},
		recent: newRecentContent(10_000), problems: map[problemKey]Problem{}, waits: map[shoal.Path]busyWait{},
		dirty: map[shoal.Path]bool{}, active: &activeJobs{},
	}
	e.ignored, _ = ignore.Parse(nil)
	for _, dir := range []string{metaDir, tmpDir, historyDir} {
		if err := c.FS.Mkdir(dir, 0o700); err != nil && !isExist(err) {
			return nil, fmt.Errorf("prepare %s: %w", dir, err)
		}
	}
	e.probeNames()
	return e, nil
}

// The places that are ours inside a folder.
const (
	metaDir    = shoal.ReservedName
	tmpDir     = metaDir + "/tmp"
	historyDir = metaDir + "/history"
	intentFile = metaDir + "/intents"
	// IgnoreFile is the ordinary synced file with patterns, in gitignore syntax, of what is neither recorded nor applied.
	IgnoreFile = ".shoalignore"
)

// SetJoining tells whether the folder still waits for its first complete frontier. While it does, nothing is recorded. When it ends, the
// next ScanAll adopts what is equal, records what differs so that it loses, and deletes nothing.
func (e *Engine) SetJoining(joining bool) {
	e.adopting = e.adopting || e.joining && !joining
	e.joining = joining
}

// ForgetDisk forgets everything that the base tells of this disk, because it is another one: a copy or a backup stands in the root's place. The folder must be
// joined anew then: equal content is adopted, what differs is kept beside, nothing counts as deleted.
func (e *Engine) ForgetDisk(ctx context.Context) error {
	for {
		var paths []shoal.Path
		err := e.Index.View(func(tx *index.Tx) error {
			err := tx.Walk("", func(r index.Row) error {
				if r.Base != nil {
					paths = append(paths, r.Path)
				}
				if len(paths) >= commitSize {
					return errEnough
				}
				return nil
			})
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		})
		if err != nil || len(paths) == 0 {
			return err
		}
		if err := e.Index.Update(ctx, func(tx *index.Tx) error {
			for _, p := range paths {
				if err := tx.SetBase(p, nil); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
}

// errEnough ends a walk.
var errEnough = errors.New("enough")

// Joining tells what SetJoining said last.
func (e *Engine) Joining() bool { return e.joining }

// AllowRecording says that the journal question is settled: the old journal was proved, or its time is up and a new
// one shall be opened at the first record.
func (e *Engine) AllowRecording() { e.canRecord = true }

// JournalProved goes on in the last journal: a peer has shown the very head that this device has.
func (e *Engine) JournalProved(ctx context.Context) error {
	e.canRecord = true
	return e.Index.Update(ctx, func(tx *index.Tx) error { return tx.ContinueJournal() })
}

// LeaveHistory is to be called when a peer has shown another history of the journal that is being written here
// (indexexchange.Effects.Rival). What this device wrote since the two parted is recorded again, in a new journal.
func (e *Engine) LeaveHistory(ctx context.Context, head []byte) error {
	left := false
	err := e.Index.Update(ctx, func(tx *index.Tx) (err error) {
		_, left, err = tx.LeaveHistory(head)
		return err
	})
	if err == nil && left {
		e.Log.Warn("this device was put back to an earlier state and wrote on: what it wrote since is recorded again in a new journal")
		e.changed()
	}
	return err
}

// Problem is something about a path that a person may want to know. Kind is a fixed word, Message is a sentence.
type Problem struct {
	Path    shoal.Path
	Kind    string
	Message string
	Since   time.Time
}

type problemKey struct {
	path shoal.Path
	kind string
}

func (e *Engine) report(p shoal.Path, kind, message string) {
	k := problemKey{p, kind}
	if old, ok := e.problems[k]; ok && old.Message == message {
		return
	}
	e.problems[k] = Problem{Path: p, Kind: kind, Message: message, Since: e.Now()}
	e.Log.Warn("folder problem", "path", string(p), "kind", kind, "message", message)
}

func (e *Engine) settled(p shoal.Path, kind string) { delete(e.problems, problemKey{p, kind}) }

// Problems returns what is wrong now, ordered by path and kind.
func (e *Engine) Problems() []Problem {
	out := make([]Problem, 0, len(e.problems))
	for _, p := range e.problems {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Problem) int {
		if c := shoal.ComparePaths(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Kind, b.Kind)
	})
	return out
}

// Excused returns the paths that are wanted but can't be on this disk, with the reasons: they are not owed for ever.
func (e *Engine) Excused() map[shoal.Path]string { return e.excused }

// Excuse returns why p can't be on a disk with these excused paths: for its own sake, or for that of a folder that it is in; "" when it can.
func Excuse(excused map[shoal.Path]string, p shoal.Path) string {
	for ; p != ""; p = p.Parent() {
		if why := excused[p]; why != "" {
			return why
		}
	}
	return ""
}

// Owes tells whether anything is owed to a disk with these excused paths.
func Owes(tx *index.Tx, excused map[shoal.Path]string) (bool, error) {
	after := shoal.Path("")
	for {
		paths, err := tx.Needs(after, planWindow)
		if err != nil {
			return false, err
		}
		for _, p := range paths {
			if Excuse(excused, p) == "" {
				return true, nil
			}
		}
		if len(paths) < planWindow {
			return false, nil
		}
		after = paths[len(paths)-1]
	}
}

// Happening is one thing that happened to a path.
type Happening struct {
	Path   shoal.Path
	Kind   HappeningKind
	Device shoal.DeviceID // whose change was applied; this device for what was recorded
}

// HappeningKind says what happened.
type HappeningKind uint8

// What happens to paths.
const (
	HappenedChange   HappeningKind = iota + 1 // a user's change was recorded
	HappenedApply                             // another device's change was put on this disk
	HappenedConflict                          // a conflict copy was put on this disk
)

func (e *Engine) happened(p shoal.Path, kind HappeningKind, dev shoal.DeviceID) {
	if e.Happened != nil {
		e.Happened(Happening{Path: p, Kind: kind, Device: dev})
	}
}

func (e *Engine) changed() {
	if e.Changed != nil {
		e.Changed()
	}
}

func (e *Engine) unique() string {
	e.serial++
	return fmt.Sprintf("%x-%x", e.Now().UnixNano(), e.serial)
}
