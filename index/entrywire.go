package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

// Field numbers of message Entry (internal/pb/index.proto).
const (
	entryPath        = 1
	entryKind        = 2
	entryMode        = 3
	entryMTime       = 4
	entryTarget      = 5
	entrySize        = 6
	entryContent     = 7
	entryRecipe      = 8
	entryRecipeParts = 9
	entryEpochs      = 10
	entryEpochRuns   = 11
	entryJournals    = 12
	entryVersion     = 13
	entryContentFrom = 14
	entryModeFrom    = 15
	entryReplaced    = 16
	entryMovedTo     = 17
	entryCarried     = 18
	entryTime        = 19
)

const journalBytes = 40

// symlinkLabel is the label of the keyed hash of a symlink's target (block.Keys.Digest).
const symlinkLabel = "symlink-target"

// encodeEntry returns the bytes of e, a valid entry of a record in journal own.
func encodeEntry(e *Entry, own shoal.JournalID) []byte {
	b := make([]byte, 0, 96+len(e.Path)+36*(len(e.Recipe)%(block.InlineRecipe+1)+len(e.RecipeParts)))
	b = wireBytes(b, entryPath, []byte(e.Path))
	b = wireUint(b, entryKind, uint64(e.Kind))
	b = wireUint(b, entryMode, uint64(e.Mode))
	b = wireFixed(b, entryMTime, uint64(e.MTime))
	b = wireBytes(b, entryTarget, []byte(e.Target))
	b = appendContent(b, e)
	b = appendSources(b, e, own)
	b = wireArray(b, entryReplaced, e.Replaced)
	b = wireBytes(b, entryMovedTo, []byte(e.MovedTo))
	if e.Carried {
		b = wireUint(b, entryCarried, 1)
	}
	return wireFixed(b, entryTime, uint64(e.Time))
}

func appendContent(b []byte, e *Entry) []byte {
	switch {
	case len(e.RecipeParts) > 0:
		b = wireUint(b, entrySize, uint64(e.Size))
		b = wireArray(b, entryContent, e.Content)
		b = wireBytes(b, entryRecipeParts, e.RecipeParts.Encode())
	case len(e.Recipe) > 0:
		b = wireBytes(b, entryRecipe, e.Recipe.Encode())
	}
	if len(e.Epochs) == 0 {
		return b
	}
	var names []shoal.EpochID
	runs := make([]uint64, 0, 2*len(e.Epochs))
	for _, r := range e.Epochs {
		n := 0
		if r.Epoch != (shoal.EpochID{}) {
			if n = slices.Index(names, r.Epoch) + 1; n == 0 {
				names = append(names, r.Epoch)
				n = len(names)
			}
		}
		runs = append(runs, uint64(n), uint64(r.Count))
	}
	for _, id := range names {
		b = wireBytes(b, entryEpochs, id[:])
	}
	return wirePacked(b, entryEpochRuns, runs)
}

// appendSources writes version and sources, with the other journals in a table of their own.
func appendSources(b []byte, e *Entry, own shoal.JournalID) []byte {
	if len(e.Version) == 0 && e.ContentFrom.IsZero() && e.ModeFrom.IsZero() {
		return b
	}
	var journals []shoal.JournalID
	add := func(d shoal.Dot) {
		if !d.IsZero() && d.Journal != own {
			journals = append(journals, d.Journal)
		}
	}
	for _, d := range e.Version {
		add(d)
	}
	add(e.ContentFrom)
	add(e.ModeFrom)
	slices.SortFunc(journals, shoal.JournalID.Compare)
	journals = slices.Compact(journals)
	for _, j := range journals {
		b = wireBytes(b, entryJournals, j.Bytes())
	}
	pair := func(d shoal.Dot) []uint64 {
		n, _ := slices.BinarySearchFunc(journals, d.Journal, shoal.JournalID.Compare)
		if d.Journal == own {
			n = -1
		}
		return []uint64{uint64(n + 1), uint64(d.Seq)}
	}
	var version []uint64
	for _, d := range e.Version {
		version = append(version, pair(d)...)
	}
	b = wirePacked(b, entryVersion, version)
	if !e.ContentFrom.IsZero() {
		b = wirePacked(b, entryContentFrom, pair(e.ContentFrom))
	}
	if !e.ModeFrom.IsZero() {
		b = wirePacked(b, entryModeFrom, pair(e.ModeFrom))
	}
	return b
}

// entryDecoder collects the fields that can only be understood together.
type entryDecoder struct {
	e                              *Entry
	epochs                         []shoal.EpochID
	journals                       []shoal.JournalID
	runs, version, contentF, modeF []uint64
	hasContent                     bool
}

// decodeEntry is the inverse of encodeEntry; what it accepts passes Validate. Unknown fields are stepped over. self is the
// record's own dot. keys make the content IDs that are not written. Errors wrap ErrMalformed.
func decodeEntry(data []byte, self shoal.Dot, keys *block.Keys) (*Entry, error) {
	e := new(Entry)
	if err := e.decode(data, self, keys); err != nil {
		return nil, err
	}
	return e, nil
}

// decode is decodeEntry into an empty entry.
func (e *Entry) decode(data []byte, self shoal.Dot, keys *block.Keys) error {
	d := entryDecoder{e: e}
	if err := eachField(data, d.field); err != nil {
		return err
	}
	if err := d.resolve(self); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	e.Joined = e.Time == 0
	switch {
	case e.Kind == shoal.KindSymlink:
		e.Content = symlinkContent(keys, e.Target)
	case e.Kind == shoal.KindFile && len(e.RecipeParts) == 0:
		if d.hasContent || e.Size != 0 {
			return fmt.Errorf("%w: size or content beside the recipe", ErrMalformed)
		}
		e.Size, e.Content = e.Recipe.Size(), keys.ContentID(e.Recipe)
	case e.Kind == shoal.KindFile && e.Recipe != nil:
		return fmt.Errorf("%w: recipe beside its parts", ErrMalformed)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func symlinkContent(keys *block.Keys, target string) block.ContentID {
	return block.ContentID(keys.Digest(symlinkLabel, []byte(target)))
}

func (d *entryDecoder) field(f wireField) (err error) {
	e := d.e
	switch f.number {
	case entryPath:
		e.Path = shoal.Path(f.data)
	case entryKind:
		e.Kind, err = f.kind()
	case entryMode:
		e.Mode, err = f.uint32()
	case entryMTime:
		e.MTime = int64(f.value)
	case entryTarget:
		e.Target = string(f.data)
	case entrySize:
		e.Size = int64(f.value)
	case entryContent:
		e.Content, err = array32[block.ContentID](f)
		d.hasContent = true
	case entryRecipe:
		e.Recipe, err = f.recipe(block.InlineRecipe)
	case entryRecipeParts:
		e.RecipeParts, err = f.recipe(MaxRecipeParts)
	case entryEpochs:
		d.epochs, err = appendArray32(d.epochs, f)
	case entryEpochRuns:
		d.runs, err = f.packed(d.runs, 2*MaxEpochRuns)
	case entryJournals:
		d.journals, err = f.journal(d.journals, MaxVersion+2)
	case entryVersion:
		d.version, err = f.packed(d.version, 2*MaxVersion)
	case entryContentFrom:
		d.contentF, err = f.packed(d.contentF, 2)
	case entryModeFrom:
		d.modeF, err = f.packed(d.modeF, 2)
	case entryReplaced:
		e.Replaced, err = array32[block.ContentID](f)
	case entryMovedTo:
		e.MovedTo = shoal.Path(f.data)
	case entryCarried:
		e.Carried = f.value != 0
	case entryTime:
		e.Time = int64(f.value)
	}
	return err
}

// resolve turns the tables and pairs into runs, version and sources.
func (d *entryDecoder) resolve(self shoal.Dot) error {
	if len(d.runs)%2 != 0 || len(d.version)%2 != 0 {
		return fmt.Errorf("list of pairs with %d numbers: %w", len(d.runs)+len(d.version), shoal.ErrInvalid)
	}
	for i := 0; i < len(d.runs); i += 2 {
		run, err := d.run(d.runs[i], d.runs[i+1])
		if err != nil {
			return err
		}
		d.e.Epochs = append(d.e.Epochs, run)
	}
	if n := len(d.version) / 2; n > 0 {
		d.e.Version = make(conflict.Version, 0, n)
	}
	for i := 0; i < len(d.version); i += 2 {
		dot, err := d.dot(d.version[i:i+2], self)
		if err != nil {
			return err
		}
		if dot.Journal == self.Journal {
			return fmt.Errorf("version names the record's own journal: %w", shoal.ErrInvalid)
		}
		d.e.Version = append(d.e.Version, dot)
	}
	var err error
	if d.contentF != nil {
		d.e.ContentFrom, err = d.dot(d.contentF, self)
	}
	if d.modeF != nil && err == nil {
		d.e.ModeFrom, err = d.dot(d.modeF, self)
	}
	return err
}

func (d *entryDecoder) run(epoch, count uint64) (EpochRun, error) {
	if epoch > uint64(len(d.epochs)) || count > block.MaxRecipe+MaxRecipeParts {
		return EpochRun{}, fmt.Errorf("epoch run %d×%d: %w", epoch, count, shoal.ErrInvalid)
	}
	r := EpochRun{Count: uint32(count)}
	if epoch > 0 {
		r.Epoch = d.epochs[epoch-1]
	}
	return r, nil
}

// dot reads a pair. A dot in the record's own journal must lie before the record.
func (d *entryDecoder) dot(pair []uint64, self shoal.Dot) (shoal.Dot, error) {
	if len(pair) != 2 || pair[0] > uint64(len(d.journals)) || pair[1] == 0 || pair[1] > maxSeq {
		return shoal.Dot{}, fmt.Errorf("record as pair %d: %w", pair, shoal.ErrInvalid)
	}
	if pair[0] > 0 {
		return shoal.Dot{Journal: d.journals[pair[0]-1], Seq: shoal.Seq(pair[1])}, nil
	}
	if shoal.Seq(pair[1]) >= self.Seq {
		return shoal.Dot{}, fmt.Errorf("record names seq %d of its own journal, not before %d: %w", pair[1], self.Seq, shoal.ErrInvalid)
	}
	return shoal.Dot{Journal: self.Journal, Seq: shoal.Seq(pair[1])}, nil
}

// pathOf returns the path in an entry that is invalid otherwise; "": it cannot be told.
func pathOf(data []byte) (p shoal.Path) {
	_ = eachField(data, func(f wireField) error { // what was read before an error counts
		if f.number == entryPath {
			p = shoal.Path(f.data)
		}
		return nil
	})
	if p.Validate() != nil {
		return ""
	}
	return p
}

// refSet returns the blocks of a file with the epochs that seal them, sorted; own is the record's epoch. Recipe must be known.
func (e *Entry) refSet(own shoal.EpochID) []block.EpochRef {
	refs := make([]block.EpochRef, 0, len(e.Recipe)+len(e.RecipeParts))
	run, left := 0, 0
	if len(e.Epochs) > 0 {
		left = int(e.Epochs[0].Count)
	}
	for _, list := range [...]block.Recipe{e.Recipe, e.RecipeParts} {
		for i := range list {
			epoch := own
			for run < len(e.Epochs) && left == 0 {
				if run++; run < len(e.Epochs) {
					left = int(e.Epochs[run].Count)
				}
			}
			if run < len(e.Epochs) {
				left--
				epoch = orEpoch(e.Epochs[run].Epoch, own)
			}
			refs = append(refs, block.EpochRef{ID: list[i].ID, Epoch: epoch})
		}
	}
	return block.SortRefs(refs)
}

func orEpoch(e, own shoal.EpochID) shoal.EpochID {
	if e == (shoal.EpochID{}) {
		return own
	}
	return e
}

func wireUint(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func wireFixed(b []byte, n protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), v)
}

func wireBytes(b []byte, n protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func wireArray[T ~[32]byte](b []byte, n protowire.Number, v T) []byte {
	if v == (T{}) {
		return b
	}
	a := [32]byte(v)
	return wireBytes(b, n, a[:])
}

func wirePacked(b []byte, n protowire.Number, vs []uint64) []byte {
	var packed []byte
	for _, v := range vs {
		packed = binary.AppendUvarint(packed, v)
	}
	return wireBytes(b, n, packed)
}
