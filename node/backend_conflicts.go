package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
)

// conflictPage is how many conflicts are read in one go.
const conflictPage = 1000

// Conflicts implements control.Conflicts.
func (n *Node) Conflicts(ctx context.Context) ([]control.Conflict, error) {
	var out []control.Conflict
	for _, f := range n.runsNow() {
		err := f.index.View(func(tx *index.Tx) error {
			after := shoal.Path("")
			for {
				paths, err := tx.Conflicts(after, conflictPage)
				if err != nil || len(paths) == 0 {
					return err
				}
				for _, p := range paths {
					c, err := n.conflictAt(tx, f, p)
					if err != nil {
						return err
					}
					out = append(out, c)
				}
				after = paths[len(paths)-1]
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list conflicts of %s: %w", f.name(), err)
		}
	}
	return out, nil
}

func (n *Node) conflictAt(tx *index.Tx, f *folderRun, p shoal.Path) (control.Conflict, error) {
	c := control.Conflict{Folder: f.name(), Path: control.Path(p), Copies: []control.Side{}}
	row, _, err := tx.Row(p)
	if err != nil {
		return c, err
	}
	res, err := tx.Resolution(p)
	if err != nil {
		return c, err
	}
	if res.Winner != nil {
		c.Winner = n.side(tx, p, res.Winner)
	}
	for _, at := range row.Copies {
		st, err := tx.Desired(at)
		if err != nil {
			return c, err
		}
		if st == nil || st.Copy == nil {
			continue
		}
		for i := range res.Losers {
			if res.Losers[i].Record == st.Copy.Record {
				c.Copies = append(c.Copies, n.side(tx, at, &res.Losers[i]))
			}
		}
	}
	return c, nil
}

func (n *Node) side(tx *index.Tx, p shoal.Path, s *conflict.Shown) control.Side {
	out := control.Side{Path: control.Path(p), Kind: s.Kind.String(), Time: time.Unix(0, s.Time).UTC()}
	if !s.Record.IsZero() {
		out.Device = n.deviceName(s.Record.Journal.Device)
		if r, ok, err := tx.Record(s.Record); err == nil && ok {
			out.Size = r.Entry.Size
			if r.Entry.Time == 0 {
				out.Time = time.Unix(0, r.Entry.MTime).UTC()
			}
		}
	}
	return out
}

// ResolveConflict implements control.Conflicts.
func (n *Node) ResolveConflict(ctx context.Context, at control.Location, keep control.Keep) error {
	_, svc, err := n.serviceOf(at.Folder)
	if err != nil {
		return err
	}
	err = svc.Do(ctx, func(ctx context.Context, e *folder.Engine) error {
		if err := e.Scan(ctx, at.Path.Parent()); err != nil {
			return err
		}
		return e.Resolve(ctx, at.Path, folder.Keep(keep))
	})
	switch {
	case errors.Is(err, folder.ErrNoConflict):
		return control.Errorf(control.CodeFailed, "there is no conflict at %q: %w", string(at.Path), control.ErrNotFound)
	case errors.Is(err, folder.ErrWhichCopy):
		return control.Errorf(control.CodeUsage, "%q has several conflict copies: name the one to keep (see `shoal conflicts`)", string(at.Path))
	case errors.Is(err, folder.ErrNotYet):
		return control.Errorf(control.CodeFailed, "the conflict at %q is not on this disk yet: wait until it is synced", string(at.Path))
	}
	return err
}
