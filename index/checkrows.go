package index

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
)

// checkStretch is how many rows are looked at before what was read for them is let go of.
const checkStretch = 1000

// rows recomputes every row from the records and compares. Whether a folder lives depends on its children, and is taken from what its row says of them:
// that this is so for all is compared in the end.
func (c *checker) rows(ctx context.Context) error {
	var total sums
	u, n := c.tx.newRowReader(), 0
	if err := c.tx.eachRow("", func(p shoal.Path, row *rowData) error {
		if n++; n%checkStretch == 0 {
			u = c.tx.newRowReader()
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return c.row(u, p, row, &total)
	}); err != nil {
		return err
	}
	if c.visible != c.live || c.holds != c.held {
		c.fault("rows have %d records and %d holds, want %d and %d", c.live, c.held, c.visible, c.holds)
	}
	for p, n := range c.kids {
		if n != 0 && p != "" {
			c.fault("%q has %d children more than its row tells of", string(p), n)
		}
	}
	c.compareClaims()
	return c.sums(&total)
}

// compareClaims checks that the paths which losers' names stand for say so.
func (c *checker) compareClaims() {
	byRecord := func(a, b claim) int {
		return cmp.Or(strings.Compare(a.of, b.of), cmp.Compare(a.record.journal, b.record.journal), cmp.Compare(a.record.seq, b.record.seq))
	}
	sorted := func(list []claim) []claim { return slices.SortedFunc(slices.Values(list), byRecord) }
	for p, want := range c.claims {
		if !slices.Equal(sorted(want), sorted(c.claimed[p])) {
			c.fault("%q is claimed by %v, want %v", string(p), c.claimed[p], want)
		}
	}
	for p, have := range c.claimed {
		if c.claims[p] == nil {
			c.fault("%q is claimed by %v, want nothing", string(p), have)
		}
	}
}

// row compares what a row says of its own records, and notes what it says of others.
func (c *checker) row(u *rowUpdate, p shoal.Path, row *rowData, total *sums) error {
	c.live += int64(len(row.live))
	c.held += int64(len(row.held))
	for _, content := range row.long {
		c.users[content]++
	}
	for _, n := range row.names {
		at := p.Parent().Join(n.name)
		c.claims[at] = append(c.claims[at], claim{p.Name(), n.record, n.chosen})
	}
	if len(row.claims) > 0 {
		c.claimed[p] = row.claims
	}
	recs, fine := c.ownRecords(p, row)
	if !fine {
		return nil
	}
	e := &rowEdit{path: p, row: *row, recs: recs, resolved: true, res: resolve(recs, c.tx.Lineage(), row.kids > 0)}
	u.edits[p] = e
	c.life(e, total)
	return c.need(u, e, total)
}

// ownRecords reads the records of a row. It has each once, and they are of its path.
func (c *checker) ownRecords(p shoal.Path, row *rowData) (recs []*Record, fine bool) {
	for i, r := range row.live {
		rec, err := c.tx.loadRecord(r)
		if err != nil || rec.Entry.Path != p || slices.Contains(row.live[:i], r) {
			c.fault("%q has record %v, which is not of it or twice there (%v)", string(p), r, err)
			return nil, false
		}
		recs = append(recs, rec)
	}
	return recs, true
}

// life compares whether something stands at a path, and what follows from that.
func (c *checker) life(e *rowEdit, total *sums) {
	p, row := e.path, &e.row
	lives := e.res.Winner != nil || len(row.held) > 0
	if lives {
		c.kids[p.Parent()]++
	}
	if row.kids != 0 {
		c.kids[p] -= row.kids
	}
	followable := false
	for _, d := range e.res.Tombstones {
		followable = followable || e.record(d).Entry.MovedTo != ""
	}
	if row.lives != lives || row.followable != followable {
		c.fault("%q: lives %v, followable %v; want %v, %v", string(p), row.lives, row.followable, lives, followable)
	}
	if conflict := c.in(bConflicts, p); conflict != (len(e.res.Losers) > 0) {
		c.fault("%q among the conflicts: %v", string(p), conflict)
	}
	total.conflicts += count(len(e.res.Losers) > 0)
	total.followable += count(followable)
	total.follows += count(c.in(bFollows, p))
	if c.in(bFollows, p) && !followable {
		c.fault("%q is followed for nothing", string(p))
	}
	if long := longContents(e.recs, nil); len(long) > len(row.long) {
		c.fault("%q names %d long contents, noted %d", string(p), len(long), len(row.long))
	}
}

func count(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (c *checker) in(set int, p shoal.Path) bool { return c.tx.bucket(set).Get(pathKey(p)) != nil }

// need compares names and base with what should be there.
func (c *checker) need(u *rowUpdate, e *rowEdit, total *sums) error {
	p := e.path
	names, err := u.losersNames(e)
	if err != nil {
		return err
	}
	if !slices.Equal(names, e.row.names) {
		c.fault("%q: losers named %v, want %v", string(p), e.row.names, names)
	}
	s, err := u.desired(e)
	if err != nil {
		return err
	}
	var base *Base
	if b := e.row.base; b != nil {
		if err := c.tx.fillBase(p, b); err != nil {
			return err
		}
		base = b.value
		total.count(b, 1)
	}
	needed := base.Differs(s)
	if needed != c.in(bNeeds, p) {
		c.fault("%q is needed: %v, noted: %v", string(p), needed, !needed)
	}
	if needed {
		n, _ := binary.Uvarint(c.tx.bucket(bNeeds).Get(pathKey(p)))
		total.needs++
		total.needBytes += int64(n)
	}
	return nil
}

// sums compares the totals.
func (c *checker) sums(want *sums) error {
	have, err := c.tx.loadSums()
	if err != nil {
		return err
	}
	for i, n := range have.all() {
		if *n != *want.all()[i] {
			c.fault("total %d is %d, want %d", i, *n, *want.all()[i])
		}
	}
	for _, set := range []struct {
		bucket int
		want   int64
	}{{bNeeds, want.needs}, {bConflicts, want.conflicts}, {bFollows, want.follows}} {
		var n int64
		cur := c.tx.bucket(set.bucket).Cursor()
		for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
			n++
		}
		if n != set.want {
			c.fault("bucket %s has %d paths, want %d", bucketNames[set.bucket], n, set.want)
		}
	}
	return nil
}
