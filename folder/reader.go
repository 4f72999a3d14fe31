package folder

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// refuse handles local changes where this device may only read: none is recorded. What was changed is kept as an ordinary file under a
// conflict name, what was deleted comes back, and both are reported.
func (e *Engine) refuse(ctx context.Context, group []*sight) error {
	return e.Index.Update(ctx, func(tx *index.Tx) error {
		for _, s := range group {
			e.report(s.path, "read-only", fmt.Sprintf("%s was changed here, but this device may only read this folder; the change stays on this device.", s.path))
			if !onDisk(s.base) {
				continue
			}
			if !s.gone() && s.stat.Kind != shoal.KindFolder {
				aside := s.path.Parent().Join(conflict.CopyName(s.path.Name(), "this device", e.Now(), s.content, e.nameTaken(s.path.Parent())))
				if err := e.FS.Rename(string(s.path), string(aside)); err != nil {
					return fmt.Errorf("keep the change of %s aside: %w", s.path, err)
				}
			}
			if err := tx.SetBase(s.path, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *Engine) nameTaken(dir shoal.Path) func(string) bool {
	return func(name string) bool {
		_, err := e.FS.Lstat(string(dir.Join(name)))
		return err == nil
	}
}
