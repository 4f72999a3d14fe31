package folder

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/crashpoint"
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
	Aside   string      // where what is taken from Path goes, on its way to history
	NewStat disk.Stat   // of what is about to appear at Path; its inode tells whether it did
	New     *index.Base // the base that follows; nil when the place is only cleared for something else
	Old     *index.Base // what is taken away
	OldFrom *index.Base // Move: what left From
}

// maxIntents bounds the intents file, in bytes; recipes of long files are not in it.
const maxIntents = 64 << 20

// writeIntents makes the intents of a batch durable. An operation whose new thing went away meanwhile gets none, and is not to be begun (lost).
func (e *Engine) writeIntents(items []*workItem) error {
	var list []intent
	for _, it := range items {
		if it.Kind == plan.Adopt {
			continue
		}
		in := intent{Kind: it.Kind, Path: it.Path, From: it.From, Temp: it.temp, Aside: it.aside, Old: slim(it.base)}
		where := it.temp
		if it.Kind == plan.Move {
			where = string(it.From)
			in.OldFrom = slim(it.from.base)
		}
		if where != "" {
			if in.NewStat, it.lost = e.lookAt(it, where); it.lost != nil {
				continue
			}
			it.put = in.NewStat
		}
		if it.Kind == plan.Remove || it.Kind == plan.Rmdir {
			in.New = it.gone()
		} else {
			in.New = slim(index.BaseOf(it.want, statOf(in.NewStat)))
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

// lookAt returns what an operation will put in its place. What a job left has not changed since.
func (e *Engine) lookAt(it *workItem, where string) (disk.Stat, error) {
	if it.job != nil && where == it.job.temp {
		if st := it.job.dressedAs(it.want); st != nil {
			return *st, nil
		}
	}
	return e.FS.Lstat(where)
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
	crashpoint.Here("intents: created")
	if _, err := f.WriteAt(data, 0); err != nil {
		_ = f.Close()
		return err
	}
	crashpoint.Here("intents: to be synced")
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	crashpoint.Here("intents: synced")
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
	crashpoint.Here("intents: removed")
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
	cleared := in.Kind == plan.Remove || in.Kind == plan.Rmdir // maybe for something else: then no base follows
	if in.Kind < plan.Mkdir || in.Kind > plan.SetMeta || in.New == nil && !cleared {
		return fmt.Errorf("intent of kind %d: %w", in.Kind, shoal.ErrInvalid)
	}
	if in.Kind == plan.Move {
		if err := in.From.Validate(); err != nil {
			return err
		}
	}
	for _, p := range []string{in.Temp, in.Aside} {
		name, ours := strings.CutPrefix(p, tmpDir+"/")
		if p != "" && (!ours || shoal.Path(name).Validate() != nil || strings.Contains(name, "/")) {
			return fmt.Errorf("intent with %q for a temporary file: %w", p, shoal.ErrInvalid)
		}
	}
	return in.Path.Validate()
}
