package vault

import (
	"context"
	"errors"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// FolderReport says what is kept of one folder.
type FolderReport struct {
	Folder   shoal.FolderID
	Kept     index.Kept
	Uploads  map[shoal.DeviceID]index.Upload // by the device that gave the first copy
	Frontier map[shoal.JournalID]shoal.Seq
}

// Report says how a tenant stands.
type Report struct {
	Mesh      shoal.MeshID
	Used      int64 // bytes
	Quota     int64 // bytes; 0: none
	Trouble   index.Trouble
	Policy    Policy
	Retention time.Duration // that counts now
	Hold      time.Duration // nothing is deleted for so long, because the clock jumped
	Folders   []FolderReport
	Scrub     ScrubReport
}

// Report returns how the tenant stands.
func (t *Tenant) Report() (Report, error) {
	s := t.cfg.Settings.Get()
	r := Report{
		Mesh: t.cfg.Mesh, Quota: s.Quota, Trouble: index.Trouble(t.trouble.Load()), Policy: s.Policy, Retention: s.Policy.At(t.cfg.Clock()),
		Hold: t.guard.Hold(), Scrub: t.ScrubReport(),
	}
	for _, id := range t.IDs() {
		fr := FolderReport{Folder: id, Frontier: map[shoal.JournalID]shoal.Seq{}}
		err := t.index(id).View(func(tx *index.Tx) (err error) {
			if fr.Kept, err = tx.Kept(); err != nil {
				return err
			}
			for j, p := range tx.Frontier() {
				fr.Frontier[j] = p.Seq
			}
			fr.Uploads, err = tx.Uploads()
			return err
		})
		if err != nil {
			return r, err
		}
		r.Used += fr.Kept.Bytes()
		r.Folders = append(r.Folders, fr)
	}
	return r, nil
}

// SetQuota chooses how many bytes may be kept; 0: any number. What is there stays. With other processes, they know when it returns nil.
func (t *Tenant) SetQuota(ctx context.Context, bytes int64) error {
	err := t.cfg.Settings.Update(func(s *State) error { s.Quota = max(0, bytes); return nil })
	return errors.Join(err, t.tellOthers(ctx), t.measure())
}

// tellOthers has the other processes know everything.
func (t *Tenant) tellOthers(ctx context.Context) error {
	if o := t.others(); o != nil {
		return o.Sync(ctx)
	}
	return nil
}

// SetRetention chooses how long what nothing live needs is kept; see Policy.Set. With other processes, they know when it returns nil.
func (t *Tenant) SetRetention(ctx context.Context, d time.Duration) error {
	if err := t.cfg.Settings.Update(func(s *State) error { return s.Policy.Set(d, wall(t.cfg.Clock())) }); err != nil {
		return err
	}
	return t.tellOthers(ctx)
}
