package index

import (
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// Limits of an Entry, checked before memory is taken.
const (
	// MaxTargetBytes is the longest target of a symlink (PATH_MAX of Linux).
	MaxTargetBytes = 4096

	// MaxVersion is the greatest number of components of a record's version.
	MaxVersion = 1000

	// MaxRecipeParts is the greatest number of blocks that a long recipe is stored in: a part has at least 256 refs
	// (docs/formats/recipe.md).
	MaxRecipeParts = block.MaxRecipe / 256

	// MaxEpochRuns is the greatest number of runs in Entry.Epochs.
	MaxEpochRuns = 100_000

	modeBits = 0o7777
)

// Entry is what is known of one path: the sealed part of a record. Only the fields of its kind are set; Validate holds that.
type Entry struct {
	Path shoal.Path
	Kind shoal.Kind

	Mode   uint32 // permission bits, 0o7777; files and folders only
	MTime  int64  // nanoseconds since 1970; files and symlinks only
	Target string // symlinks only; bytes, never empty there

	// What a file holds. Recipe is the file's whole recipe. When it has more than block.InlineRecipe refs it is stored in
	// blocks of its own, RecipeParts (block.Keys.SplitRecipe), and Recipe is nil in what was received until PutRecipe.
	Size        int64           // bytes; equals Recipe.Size() where Recipe is known
	Content     block.ContentID // of the recipe; of a symlink: SymlinkContent; else zero. Drafts may leave it zero when Recipe is set
	Recipe      block.Recipe
	RecipeParts block.Recipe

	// Epochs tells which epoch's key seals each block, in runs over Recipe and then RecipeParts; nil: all are sealed under the
	// record's own epoch. Append fills it in.
	Epochs []EpochRun

	// Version is what the author's disk showed at this path, WITHOUT the record's own component. Append prunes it.
	Version conflict.Version

	// ContentFrom is the record at this path that brought the content, ModeFrom the one that brought the permission bits.
	// Zero: this very record. A tombstone with MovedTo names as ContentFrom the record that brought the content which went there.
	ContentFrom, ModeFrom shoal.Dot

	Replaced block.ContentID // content that the author replaced; zero: none
	MovedTo  shoal.Path      // tombstones only: where the content went, if that is known
	Carried  bool            // nobody wrote this content here: a rename brought it, or an edit that followed one. It never follows again

	// Time is the record's time in nanoseconds since 1970. In a draft zero means: Append gives it the time.
	Time int64

	// Joined says that the record has time 0, so that it loses against everything: what joining a folder records. Set in a
	// draft it makes Append leave Time at 0; in what was read it tells that Time is 0.
	Joined bool
}

// EpochRun says that the next Count blocks are sealed under Epoch.
type EpochRun struct {
	Epoch shoal.EpochID // zero: the record's own
	Count uint32        // at least 1
}

// Validate refuses entries that break a rule of docs/formats/record.md. Received entries pass here before they are used.
func (e *Entry) Validate() error {
	if err := e.Path.Validate(); err != nil {
		return err
	}
	if err := e.Kind.Validate(); err != nil {
		return err
	}
	if e.Mode&^modeBits != 0 {
		return fmt.Errorf("mode %#o: %w", e.Mode, shoal.ErrInvalid)
	}
	if e.Time < 0 || e.Joined != (e.Time == 0) {
		return fmt.Errorf("time %d, joined %v: %w", e.Time, e.Joined, shoal.ErrInvalid)
	}
	if err := e.validateVersion(); err != nil {
		return err
	}
	return e.validateKind()
}

func (e *Entry) validateVersion() error {
	if len(e.Version) > MaxVersion {
		return fmt.Errorf("version of %d components: %w", len(e.Version), shoal.ErrInvalid)
	}
	if err := e.Version.Validate(); err != nil {
		return err
	}
	for _, d := range [...]shoal.Dot{e.ContentFrom, e.ModeFrom} {
		if d.IsZero() != (d.Journal == shoal.JournalID{}) {
			return fmt.Errorf("record %s as source: %w", d, shoal.ErrInvalid)
		}
	}
	return nil
}

// validateKind checks that exactly the fields of the kind are set.
func (e *Entry) validateKind() error {
	bad := func(what string) error { return fmt.Errorf("%s with %s: %w", e.Kind, what, shoal.ErrInvalid) }
	if e.Kind != shoal.KindSymlink && e.Target != "" {
		return bad("a target")
	}
	if e.Kind != shoal.KindFile && (e.Size != 0 || e.Recipe != nil || e.RecipeParts != nil || e.Epochs != nil) {
		return bad("blocks")
	}
	if e.Kind != shoal.KindTombstone && e.MovedTo != "" {
		return bad("a place where it went")
	}
	switch e.Kind {
	case shoal.KindFile:
		return e.validateFile()
	case shoal.KindSymlink:
		if e.Target == "" || len(e.Target) > MaxTargetBytes {
			return bad(fmt.Sprintf("a target of %d bytes", len(e.Target)))
		}
		if e.Mode != 0 {
			return bad("a mode")
		}
	case shoal.KindFolder:
		if e.MTime != 0 || e.Content != (block.ContentID{}) {
			return bad("a time or content")
		}
	case shoal.KindTombstone:
		if e.Mode != 0 || e.MTime != 0 || e.Content != (block.ContentID{}) || e.Carried {
			return bad("fields of something that exists")
		}
		if e.MovedTo != "" {
			return e.MovedTo.Validate()
		}
	}
	return nil
}

func (e *Entry) validateFile() error {
	if e.Size < 0 {
		return fmt.Errorf("file of %d bytes: %w", e.Size, shoal.ErrInvalid)
	}
	if len(e.RecipeParts) > MaxRecipeParts || len(e.Epochs) > MaxEpochRuns {
		return fmt.Errorf("recipe in %d parts, %d epoch runs: %w", len(e.RecipeParts), len(e.Epochs), shoal.ErrInvalid)
	}
	if err := e.Recipe.Validate(); err != nil {
		return err
	}
	if err := e.RecipeParts.Validate(); err != nil {
		return err
	}
	long := len(e.RecipeParts) > 0
	if known := e.Recipe != nil || !long; known {
		if long != (len(e.Recipe) > block.InlineRecipe) {
			return fmt.Errorf("recipe of %d blocks in %d parts: %w", len(e.Recipe), len(e.RecipeParts), shoal.ErrInvalid)
		}
		if e.Size != e.Recipe.Size() {
			return fmt.Errorf("size %d, recipe of %d bytes: %w", e.Size, e.Recipe.Size(), shoal.ErrInvalid)
		}
	}
	return e.validateEpochs(long && e.Recipe == nil)
}

// validateEpochs checks that the runs add up to the number of blocks; of a recipe that is not known yet only its parts count.
func (e *Entry) validateEpochs(unknown bool) error {
	if e.Epochs == nil {
		return nil
	}
	var n int
	for _, r := range e.Epochs {
		if r.Count == 0 || r.Count > block.MaxRecipe+MaxRecipeParts {
			return fmt.Errorf("epoch run of %d blocks: %w", r.Count, shoal.ErrInvalid)
		}
		n += int(r.Count)
		if n > block.MaxRecipe+MaxRecipeParts {
			return fmt.Errorf("epoch runs of more than %d blocks: %w", n, shoal.ErrInvalid)
		}
	}
	want := len(e.Recipe) + len(e.RecipeParts)
	if n != want && !(unknown && n > want) {
		return fmt.Errorf("epoch runs of %d blocks, %d blocks: %w", n, want, shoal.ErrInvalid)
	}
	return nil
}

// BlockEpoch returns the epoch that seals block i of Recipe followed by RecipeParts, given the epoch of the record.
func BlockEpoch(runs []EpochRun, own shoal.EpochID, i int) shoal.EpochID {
	for _, r := range runs {
		if i < int(r.Count) {
			return orEpoch(r.Epoch, own)
		}
		i -= int(r.Count)
	}
	return own
}
