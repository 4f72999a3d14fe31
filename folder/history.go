package folder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/crashpoint"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/index"
)

// What is taken from a name stays in .shoal/history for this long, and fills at most this part of the disk.
const (
	historyAge   = 30 * 24 * time.Hour
	historyShare = 10 // per cent
	lateQuiet    = 60 * time.Second
	maxLate      = 10_000 // files watched for late writes; beyond that the oldest are let go
)

// lateFile is a file that was taken from its name and that somebody may still have open for writing.
type lateFile struct {
	at    string     // where it is now, in history
	path  shoal.Path // the name that it had
	base  *index.Base
	stat  disk.Stat
	since time.Time // when it last changed
}

// toHistory moves what is at aside, taken from p, into history and watches it for late writes.
func (e *Engine) toHistory(aside string, p shoal.Path, b *index.Base) error {
	now := e.Now().UTC()
	day := historyDir + "/" + now.Format("2006-01-02")
	if err := e.FS.Mkdir(day, 0o700); err != nil && !isExist(err) {
		return fmt.Errorf("make a folder in history: %w", err)
	}
	crashpoint.Here("history: to be moved")
	at := day + "/" + historyName(now, e.unique(), p.Name())
	if err := e.FS.Rename(aside, at); err != nil {
		return fmt.Errorf("move %s to history: %w", p, err)
	}
	crashpoint.Here("history: moved")
	if b.Kind != shoal.KindFile {
		return nil
	}
	e.recent.add(at, b.Recipe)
	st, err := e.FS.Lstat(at)
	if err != nil {
		return err
	}
	if len(e.late) >= maxLate {
		e.late = e.late[1:]
	}
	e.late = append(e.late, lateFile{at: at, path: p, base: b, stat: st, since: e.Now()})
	return nil
}

func historyName(now time.Time, unique, name string) string {
	head := now.Format("15.04.05") + " " + unique + " "
	return head + name[:min(len(name), shoal.MaxNameBytes-len(head))]
}

// LateDue tells whether files taken away lately are still watched.
func (e *Engine) LateDue() bool { return len(e.late) > 0 }

// CheckLate records what was written to files after they were taken from their names: a program that had one open goes on writing to it.
// Such content is recorded at its old name with the old base, so it is a sibling of what stands there now.
func (e *Engine) CheckLate(ctx context.Context) error {
	var keep []lateFile
	var errs []error
	for _, l := range e.late {
		st, err := e.FS.Lstat(l.at)
		if err != nil {
			continue
		}
		if st.Size != l.stat.Size || st.MTime != l.stat.MTime {
			if err := e.recordLate(ctx, &l); err != nil {
				errs = append(errs, err)
				keep = append(keep, l)
				continue
			}
			l.since = e.Now()
		}
		busy, _ := e.FS.Busy(l.at)
		if busy || e.Now().Sub(l.since) < lateQuiet {
			keep = append(keep, l)
		}
	}
	e.late = keep
	return errors.Join(errs...)
}

func (e *Engine) recordLate(ctx context.Context, l *lateFile) error {
	s := &sight{path: shoal.Path(l.at)}
	if err := e.readFile(ctx, s); err != nil {
		if errors.Is(err, errChanging) {
			return nil // it is looked at again while it is watched
		}
		return err
	}
	l.stat = s.stat
	e.recent.add(l.at, s.recipe)
	if block.ContentID(s.content) == l.base.Content {
		return nil
	}
	err := e.Index.Update(ctx, func(tx *index.Tx) error {
		d := &drafts{e: e, tx: tx}
		s := *s
		s.path, s.base = l.path, l.base
		en := d.entry(&s, nil)
		if r, err := d.unseen(&en); err != nil {
			return err
		} else if r != nil { // what this device recorded here since stays; the late content stands beside it
			if en.Path, err = tx.FreeCopyName(l.path, e.Self, e.Now(), en.Version, en.Content); err != nil {
				return err
			}
			en.Version, en.ContentFrom, en.ModeFrom, en.Replaced = nil, shoal.Dot{}, shoal.Dot{}, block.ContentID{}
		}
		d.keeps = append(d.keeps, draft{entry: en})
		_, err := d.write()
		return err
	})
	if err == nil {
		// The next late write has seen this one.
		nb := *l.base
		nb.Content = block.ContentID(s.content)
		l.base = &nb
		e.changed()
	}
	return err
}
