package folder

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// Access is what a device may do in a folder.
type Access uint8

const (
	AccessWrite Access = iota
	// AccessRead: what is changed here stays on this device (role reader).
	AccessRead
	// AccessNone: the device was revoked. Its files stay as its user has them; nobody could bring back what it changes.
	AccessNone
)

func (e *Engine) access() Access {
	if e.Access == nil {
		return AccessWrite
	}
	return e.Access()
}

// refuse handles local changes where this device may only read: none is recorded. What was changed is kept as an ordinary file under a
// conflict name, what was deleted comes back, and both are reported. A mode or time is set back.
func (e *Engine) refuse(ctx context.Context, group []*sight) error {
	return e.Index.Update(ctx, func(tx *index.Tx) error {
		d := &drafts{e: e, tx: tx}
		for _, s := range group {
			if err := d.refuse(s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *drafts) refuse(s *sight) error {
	want, err := d.tx.Desired(s.path)
	if err != nil {
		return err
	}
	if !s.gone() {
		if done, err := d.adopt(s, want); done || err != nil {
			return err
		}
	}
	d.e.report(s.path, "read-only", fmt.Sprintf("%s was changed here, but this device may only read this folder; the change stays on this device.", s.path))
	b := s.base
	switch {
	case !onDisk(b):
		return nil
	case s.gone():
		return d.setBase(s.path, nil)
	case b.Kind == s.stat.Kind && b.Content == s.content: // and the base holds what it was asked to be: the plan sets that again
		nb := *b
		nb.Stat, nb.Mode, nb.MTime = statOfSight(s), modeOf(s), mtimeOf(s)
		return d.setBase(s.path, &nb)
	case s.stat.Kind != shoal.KindFolder:
		mine := d.tx.DeviceName(d.e.Self)
		aside := s.path.Parent().Join(conflict.CopyName(s.path.Name(), mine, d.e.Now(), s.content, d.e.nameTaken(s.path.Parent())))
		if err := d.e.FS.Rename(string(s.path), string(aside)); err != nil {
			return fmt.Errorf("keep the change of %s aside: %w", s.path, err)
		}
	}
	return d.setBase(s.path, nil)
}

func (e *Engine) nameTaken(dir shoal.Path) func(string) bool {
	return func(name string) bool {
		_, err := e.FS.Lstat(string(dir.Join(name)))
		return err == nil
	}
}
