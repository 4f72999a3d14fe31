package index

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// conflictNameLabel is the label of the keyed hash in the names of conflict copies (block.Keys.Digest).
const conflictNameLabel = "conflict-name"

// A loser is shown in its own folder under conflict.CopyName. A name where something of its own lives is taken: the loser then
// gets a longer one, but keeps a claim on the taken name too, so that it is named again when that becomes free. Of several
// losers of different paths that come to one name, which only a collision of digests can make, the first by path is shown.

// settleNames is phase 2.
func (u *rowUpdate) settleNames() error {
	var work []*rowEdit
	for _, e := range slices.Collect(maps.Values(u.edits)) { // more rows are looked at meanwhile; they do not change
		if e.rename {
			work = append(work, e)
		}
		if e.row.lives == e.old.lives {
			continue
		}
		for _, c := range e.row.claims {
			of, err := u.edit(e.path.Parent().Join(c.of))
			if err != nil {
				return err
			}
			if !of.rename {
				of.rename = true
				work = append(work, of)
			}
		}
	}
	slices.SortFunc(work, func(a, b *rowEdit) int { return shoal.ComparePaths(a.path, b.path) })
	for _, e := range work {
		if err := u.nameLosers(e); err != nil {
			return err
		}
	}
	return nil
}

// nameLosers gives the losers of a path their names and tells the rows of these names.
func (u *rowUpdate) nameLosers(e *rowEdit) error {
	if err := u.resolveRow(e); err != nil {
		return err
	}
	names, err := u.losersNames(e)
	if err != nil {
		return err
	}
	dir, of := e.path.Parent(), e.path.Name()
	for _, n := range e.row.names {
		at, err := u.edit(dir.Join(n.name))
		if err != nil {
			return err
		}
		gone := claim{of, n.record, n.chosen}
		at.row.claims = slices.DeleteFunc(at.row.claims, func(c claim) bool { return c == gone })
		at.shows = true
	}
	for _, n := range names {
		at, err := u.edit(dir.Join(n.name))
		if err != nil {
			return err
		}
		at.row.claims = append(at.row.claims, claim{of, n.record, n.chosen})
		at.shows = true
	}
	e.row.names = names
	return nil
}

// losersNames returns all names that the losers of a resolved row want or have.
func (u *rowUpdate) losersNames(e *rowEdit) ([]copyName, error) {
	var names []copyName
	given := make(map[string]bool)
	for i := range e.res.Losers {
		loser := &e.res.Losers[i]
		at := slices.IndexFunc(e.recs, func(r *Record) bool { return r.Dot == loser.Record })
		record := e.row.live[at]
		var failed error
		name := conflict.CopyName(e.path.Name(), u.tx.DeviceName(loser.Record.Journal.Device), shownTime(loser), u.copyDigest(e.path, loser),
			func(n string) bool {
				taken, err := u.livesAt(e.path.Parent().Join(n))
				if err != nil {
					failed = err
				}
				if taken {
					names = append(names, copyName{n, record, false})
				}
				return taken || given[n]
			})
		if failed != nil {
			return nil, failed
		}
		given[name] = true
		names = append(names, copyName{name, record, true})
	}
	return names, nil
}

// FreeCopyName returns the path at which content that device by recorded for p at a time would stand as an ordinary file beside p. Nothing of its own
// stands there.
func (tx *Tx) FreeCopyName(p shoal.Path, by shoal.DeviceID, at time.Time, v conflict.Version, content [32]byte) (shoal.Path, error) {
	if err := tx.requireKeys(); err != nil {
		return "", err
	}
	u := tx.newRowReader()
	var failed error
	name := conflict.CopyName(p.Name(), u.tx.DeviceName(by), at, u.copyDigest(p, &conflict.Shown{Version: v, Content: content}), func(n string) bool {
		taken, err := u.livesAt(p.Parent().Join(n))
		if err != nil {
			failed = err
		}
		return taken
	})
	return p.Parent().Join(name), failed
}

// shownTime is the record's time; one that joined without a time shows when its content was changed.
func shownTime(s *conflict.Shown) time.Time {
	if s.Time == 0 {
		return time.Unix(0, s.MTime).UTC()
	}
	return time.Unix(0, s.Time).UTC()
}

// copyDigest is the keyed hash of path, version and content.
func (u *rowUpdate) copyDigest(p shoal.Path, s *conflict.Shown) [32]byte {
	var version []byte
	for _, d := range s.Version {
		version = binary.BigEndian.AppendUint64(append(version, d.Journal.Bytes()...), uint64(d.Seq))
	}
	return u.tx.names.Digest(conflictNameLabel, []byte(p), version, s.Content[:])
}

// DeviceName returns what conflict names call a device: its name in the admission statement, which never changes.
func (tx *Tx) DeviceName(id shoal.DeviceID) string {
	if d, ok := tx.config.Roster().Device(id); ok && d.AdmittedAs != "" {
		return d.AdmittedAs
	}
	return id.Short()
}

// livesAt tells whether something of its own stands at p.
func (u *rowUpdate) livesAt(p shoal.Path) (bool, error) {
	if e := u.edits[p]; e != nil {
		return e.row.lives, nil
	}
	row, err := u.tx.row(p)
	return row != nil && row.lives, err
}

// shownClaim returns the claim that is shown at a row on which nothing of its own stands; false: none.
func (r *rowData) shownClaim() (claim, bool) {
	var best claim
	found := false
	for _, c := range r.claims {
		if c.chosen && (!found || c.of < best.of) { // one path never chooses a name twice
			best, found = c, true
		}
	}
	return best, found
}
