package folder

import (
	"context"
	"errors"
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/index"
)

// Keep says what Resolve keeps.
type Keep string

// The answers to a conflict.
const (
	KeepWinner Keep = "winner" // drop the copies (named by the file) or one copy (named by itself)
	KeepCopy   Keep = "copy"   // the copy takes the file's place
	KeepBoth   Keep = "both"   // the copies become ordinary files
)

// Errors of Resolve.
var (
	ErrNoConflict = errors.New("there is no conflict at this path")
	ErrWhichCopy  = errors.New("there are several copies: name the one to keep")
	ErrNotYet     = errors.New("the conflict is not on this disk yet")
)

// Resolve answers the conflict at p, which names the file or one of its copies. The answer is a change like any other: it spreads, and an opposite answer given
// elsewhere at the same time is a conflict again.
func (e *Engine) Resolve(ctx context.Context, p shoal.Path, keep Keep) error {
	recorded := false
	err := e.Index.Update(ctx, func(tx *index.Tx) error {
		d := &drafts{e: e, tx: tx}
		if err := d.resolve(p, keep); err != nil {
			return err
		}
		n, err := d.write()
		recorded = n > 0
		return err
	})
	if err == nil && recorded {
		e.changed()
	}
	return err
}

func (d *drafts) resolve(p shoal.Path, keep Keep) error {
	row, _, err := d.tx.Row(p)
	if err != nil {
		return err
	}
	var chosen shoal.Path
	if row.Copy != nil && len(row.Copies) == 0 {
		chosen, p = p, row.Copy.Of
		if row, _, err = d.tx.Row(p); err != nil {
			return err
		}
	}
	if len(row.Copies) == 0 {
		return fmt.Errorf("%s: %w", p, ErrNoConflict)
	}
	if !onDisk(row.Base) {
		return fmt.Errorf("%s: %w", p, ErrNotYet)
	}
	if keep == KeepCopy && chosen == "" {
		if len(row.Copies) > 1 {
			return fmt.Errorf("%s: %w", p, ErrWhichCopy)
		}
		chosen = row.Copies[0]
	}
	en, base := d.keepEntry(p, row.Base), row.Base
	if keep == KeepCopy {
		if en, err = d.copyEntry(p, chosen, row.Base); err != nil {
			return err
		}
		base = nil // the disk shows the old content until it is swapped
	}
	for _, c := range row.Copies {
		v, err := d.answerCopy(c, row.Base, c == chosen || chosen == "" && keep == KeepWinner, keep)
		if err != nil {
			return err
		}
		en.Version = conflict.Join(en.Version, v)
	}
	d.keeps = append(d.keeps, draft{entry: en, base: base})
	return nil
}

// answerCopy drops one copy, or makes it an ordinary file, and returns the version that the answer has seen.
func (d *drafts) answerCopy(c shoal.Path, at *index.Base, named bool, keep Keep) (conflict.Version, error) {
	if keep == KeepBoth || !named {
		return d.settleCopy(c, at)
	}
	want, err := d.tx.Desired(c)
	if err != nil || want == nil {
		return nil, err
	}
	return want.Version, nil
}

// copyEntry is the record that puts the content of copy c at p. It names the record that brought the content, so that it yields to, and
// is not swallowed by, an answer that kept the other.
func (d *drafts) copyEntry(p, c shoal.Path, b *index.Base) (index.Entry, error) {
	want, err := d.tx.Desired(c)
	if err != nil {
		return index.Entry{}, err
	}
	if want == nil || want.Copy == nil {
		return index.Entry{}, fmt.Errorf("%s: %w", c, ErrNoConflict)
	}
	if len(want.RecipeParts) > 0 && len(want.Recipe) <= block.InlineRecipe {
		return index.Entry{}, fmt.Errorf("%s: %w", c, ErrNotYet)
	}
	return index.Entry{
		Path: p, Kind: want.Kind, Mode: want.Mode, MTime: want.MTime, Target: want.Target, Size: want.Size, Content: want.Content,
		Recipe: want.Recipe, RecipeParts: want.RecipeParts, Version: b.Version, ContentFrom: want.ContentFrom, ModeFrom: want.ModeFrom, Carried: true,
	}, nil
}
