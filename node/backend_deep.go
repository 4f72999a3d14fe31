package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// DeepCheck implements control.Health: one folder after the other, while all of them go on syncing.
func (n *Node) DeepCheck(ctx context.Context, tell func(control.DeepProgress)) (control.Deep, error) {
	var out control.Deep
	runs := n.runsNow()
	slices.SortFunc(runs, func(a, b *folderRun) int { return strings.Compare(a.name(), b.name()) })
	var progress control.DeepProgress
	for _, f := range runs {
		if err := f.index.View(func(tx *index.Tx) error {
			files, bytes := tx.Totals()
			progress.TotalFiles += files
			progress.TotalBytes += bytes
			return nil
		}); err != nil {
			return out, err
		}
	}
	for _, f := range runs {
		progress.Folder = f.name()
		err := n.deepCheck(ctx, f, &out, func(files, bytes int64) {
			now := progress
			now.Files, now.Bytes = out.Files+files, out.Bytes+bytes
			tell(now)
		})
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		if err != nil { // the others can still be checked
			out.Unreadable = append(out.Unreadable, control.DeepFinding{
				Folder: f.name(), Message: fmt.Sprintf("The folder could not be checked to its end: %v.", err), Fix: "See what `shoal doctor` says of the folder, then check again.",
			})
		}
	}
	return out, nil
}

// deepCheck adds to out what is found in one folder.
func (n *Node) deepCheck(ctx context.Context, f *folderRun, out *control.Deep, tell func(files, bytes int64)) error {
	open := f.current.Load()
	if open == nil {
		_, err := f.service()
		return err
	}
	var r folder.DeepReport
	err := open.service.Beside(ctx, func(ctx context.Context) (err error) {
		r, err = open.engine.DeepCheck(ctx, tell)
		return err
	})
	out.Files += r.Files
	out.Bytes += r.Bytes
	out.Edited += r.Edited
	out.Omitted += r.Omitted
	for _, d := range r.Damaged {
		found := n.damage(f, d)
		out.Damaged = append(out.Damaged, found)
		n.event(control.Event{Kind: control.EventProblem, Folder: found.Folder, Path: found.Path, Message: "is damaged on this disk."})
	}
	for _, d := range r.Missing {
		out.Missing = append(out.Missing, control.DeepFinding{
			Folder: f.name(), Path: control.Path(d.Path), Message: "It is not there any more.", Fix: "When nobody deleted it, put it back before the next look at the disk takes that for a deletion.",
		})
	}
	for _, d := range r.Unreadable {
		out.Unreadable = append(out.Unreadable, control.DeepFinding{
			Folder: f.name(), Path: control.Path(d.Path), Message: fmt.Sprintf("It can't be read: %v.", d.Err), Fix: "Check its permissions; when they are right, the disk may be failing.",
			Devices: n.holders(f, d),
		})
	}
	return err
}

// damage says what can be done about a damaged file. To delete or rename it is no way: that would be done on the other devices too.
func (n *Node) damage(f *folderRun, d folder.DeepFinding) control.DeepFinding {
	out := control.DeepFinding{
		Folder: f.name(), Path: control.Path(d.Path), Devices: n.holders(f, d),
		Message: "Its content is not what was recorded, though nobody changed it: the disk has damaged it.",
	}
	const leave = " Until then leave it as it is: to change, rename or delete it here does the same on the other devices."
	if len(out.Devices) > 0 {
		out.Fix = "Copy the file from " + strings.Join(out.Devices, " or ") + ", which reported to have it, over this one." + leave
	} else {
		out.Fix = "No other device is known to have it: put it back from a backup." + leave
	}
	return out
}

// holders names the other devices that reported to have a file as it was recorded here.
func (n *Node) holders(f *folderRun, d folder.DeepFinding) (names []string) {
	if d.Record.IsZero() {
		return nil
	}
	_ = f.index.View(func(tx *index.Tx) error {
		for _, dev := range n.others() {
			st, ok, err := tx.Status(dev.ID)
			if err == nil && ok && dev.Role != mesh.RoleVault && holds(st, d.Record, d.Path) {
				names = append(names, dev.Name)
			}
		}
		return nil
	})
	slices.Sort(names)
	return names
}

// holds tells whether a device reported to have applied a record at a path.
func holds(st index.Status, rec shoal.Dot, p shoal.Path) bool {
	if !st.Complete || st.Applied[rec.Journal] < rec.Seq {
		return false
	}
	return !slices.ContainsFunc(st.Exceptions, func(e index.Exception) bool { return e.Path == p || p.Under(e.Path) })
}
