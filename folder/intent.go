package folder

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// intent says what one operation is about to do, so that a restart can tell what it finds on disk from what a user did. It is durable before
// the operation begins and goes when the base is committed.
type intent struct {
	Kind    plan.OpKind
	Path    shoal.Path
	From    shoal.Path
	Temp    string
	NewStat disk.Stat   // of what is about to appear at Path; its inode tells whether it did
	New     *index.Base // the base that follows; nil when something else is about to stand there
	Old     *index.Base // what is taken away
	OldFrom *index.Base // Move: what left From
}

// maxIntents bounds the intents file, in bytes; recipes of long files are not in it.
const maxIntents = 64 << 20

func (e *Engine) writeIntents(items []*workItem) error {
	var list []intent
	for _, it := range items {
		if it.Kind == plan.Adopt {
			continue
		}
		in := intent{Kind: it.Kind, Path: it.Path, From: it.From, Temp: it.temp, Old: slim(it.base)}
		where := it.temp
		if it.Kind == plan.Move {
			where = string(it.From)
			in.OldFrom = slim(it.from.base)
		}
		if where != "" {
			st, err := e.FS.Lstat(where)
			if err != nil {
				return fmt.Errorf("look at %s: %w", where, err)
			}
			in.NewStat = st
		}
		if it.want != nil {
			in.New = slim(index.BaseOf(it.want, statOf(in.NewStat)))
		} else {
			in.New = goneBase(it.goneVersion)
		}
		list = append(list, in)
	}
	if len(list) == 0 {
		return nil
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(list); err != nil {
		return fmt.Errorf("encode intents: %w", err)
	}
	data := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body.Bytes()))
	return writeDurably(e.FS, intentFile, append(data, body.Bytes()...))
}

// slim leaves out a long recipe: it is known to the index by its content ID.
func slim(b *index.Base) *index.Base {
	if b == nil || len(b.Recipe) < 2 {
		return b
	}
	s := *b
	s.Recipe = nil
	return &s
}

func writeDurably(fsys disk.FS, p string, data []byte) error {
	if err := fsys.Remove(p); err != nil && !isNotExist(err) {
		return err
	}
	f, err := fsys.Create(p, 0, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return fsys.SyncDir(metaDir)
}

func (e *Engine) clearIntents() error {
	if _, err := e.FS.Lstat(intentFile); isNotExist(err) {
		return nil // a disk that is read-only refuses to remove even what is not there
	}
	if err := e.FS.Remove(intentFile); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

func (e *Engine) readIntents() ([]intent, error) {
	data, err := readSmallFile(e.FS, intentFile, maxIntents)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) < 4 || binary.BigEndian.Uint32(data) != crc32.ChecksumIEEE(data[4:]) {
		return nil, nil // torn: nothing was begun, intents are durable before the first operation
	}
	var list []intent
	if err := gob.NewDecoder(bytes.NewReader(data[4:])).Decode(&list); err != nil {
		return nil, nil
	}
	return slices.DeleteFunc(list, func(in intent) bool { return in.validate() != nil }), nil
}

// validate refuses what writeIntents does not write. What it named is found by the next scan, as if it had been done by hand.
func (in *intent) validate() error {
	if in.Kind < plan.Mkdir || in.Kind > plan.SetMeta || in.New == nil {
		return fmt.Errorf("intent of kind %d: %w", in.Kind, shoal.ErrInvalid)
	}
	if in.Kind == plan.Move {
		if err := in.From.Validate(); err != nil {
			return err
		}
	}
	name, ours := strings.CutPrefix(in.Temp, tmpDir+"/")
	if in.Temp != "" && (!ours || shoal.Path(name).Validate() != nil || strings.Contains(name, "/")) {
		return fmt.Errorf("intent with %q for a temporary file: %w", in.Temp, shoal.ErrInvalid)
	}
	return in.Path.Validate()
}

// Recover looks at what the last run left behind. It must be called before the first scan and before records from others are
// accepted: only then what stands on disk can be told from what a user did meanwhile.
func (e *Engine) Recover(ctx context.Context) error {
	list, err := e.readIntents()
	if err != nil {
		return fmt.Errorf("read the intents of the last run: %w", err)
	}
	if len(list) > 0 {
		err := e.Index.Update(ctx, func(tx *index.Tx) error {
			for i := range list {
				err := e.recoverOne(tx, &list[i])
				if errors.Is(err, shoal.ErrInvalid) {
					e.Log.Warn("an intent of the last run makes no sense", "path", string(list[i].Path), "err", err)
					continue // the scan finds out
				}
				if err != nil {
					return fmt.Errorf("recover %s: %w", list[i].Path, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return e.clearIntents()
}

// recoverOne completes the base of an operation that was done, and leaves the base of one that was not.
func (e *Engine) recoverOne(tx *index.Tx, in *intent) error {
	now, err := tx.Base(in.Path)
	if err != nil {
		return err
	}
	if sameBase(now, in.New) {
		return e.keepSwappedOut(in)
	}
	st, err := e.FS.Lstat(string(in.Path))
	there := err == nil
	if err != nil && !isNotExist(err) {
		return err
	}
	switch in.Kind {
	case plan.Remove, plan.Rmdir:
		if there {
			return nil
		}
		return tx.SetBase(in.Path, in.New)
	case plan.Mkdir, plan.SetMeta:
		if !there || st.Kind != in.New.Kind || in.Kind == plan.SetMeta && !metaIs(st, in.New) {
			return nil
		}
		return tx.SetBase(in.Path, e.recovered(tx, in, st))
	}
	if !there || !st.Same(in.NewStat) {
		return nil
	}
	if err := e.keepSwappedOut(in); err != nil {
		return err
	}
	if in.Kind == plan.Move {
		if v, err := e.goneVersion(tx, in.From); err != nil {
			return err
		} else if err := tx.SetBase(in.From, goneBase(v)); err != nil {
			return err
		}
	}
	return tx.SetBase(in.Path, e.recovered(tx, in, st))
}

func sameBase(a, b *index.Base) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Content == b.Content && a.Version.Equal(b.Version)
}

func metaIs(st disk.Stat, b *index.Base) bool {
	return (b.Kind == shoal.KindSymlink || st.Mode == b.Mode) && (b.Kind == shoal.KindFolder || st.MTime == b.MTime)
}

// recovered is the base of what an operation put at a path: as it is now if nobody touched it since, else as it was put, so that the
// next scan sees the difference.
func (e *Engine) recovered(tx *index.Tx, in *intent, st disk.Stat) *index.Base {
	b := *in.New
	if b.Kind == shoal.KindFolder {
		b.Mode = st.Mode
	}
	if b.Kind == shoal.KindFolder || st.Size == in.NewStat.Size && st.MTime == b.MTime {
		b.Stat = statOf(st)
	}
	if b.Kind == shoal.KindFile && b.Recipe == nil {
		b.Recipe, _, _ = tx.Recipe(b.Content)
		for _, old := range []*index.Base{in.Old, in.OldFrom} {
			if b.Recipe == nil && old != nil && old.Content == b.Content {
				b.Recipe = old.Recipe
			}
		}
	}
	return &b
}

// keepSwappedOut saves what an exchange took out and a crash left in the temporary folder.
func (e *Engine) keepSwappedOut(in *intent) error {
	if in.Kind != plan.Swap || in.Temp == "" || in.Old == nil {
		return nil
	}
	st, err := e.FS.Lstat(in.Temp)
	if err != nil || st.Same(in.NewStat) {
		return nil
	}
	return e.toHistory(in.Temp, in.Path, in.Old)
}
