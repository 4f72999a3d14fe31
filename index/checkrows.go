package index

import (
	"cmp"
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
)

// checkRows recomputes every row from the records, deepest paths first, and compares.
func (c *checker) checkRows(ctx context.Context) error {
	all := make(map[shoal.Path]bool)
	for _, of := range []map[shoal.Path]bool{keysOf(c.visible), keysOf(c.held), keysOf(c.rows)} {
		for p := range of {
			for ; p != ""; p = p.Parent() {
				all[p] = true
			}
		}
	}
	paths := slices.SortedFunc(maps.Keys(all), func(a, b shoal.Path) int {
		return cmp.Or(cmp.Compare(strings.Count(string(b), "/"), strings.Count(string(a), "/")), shoal.ComparePaths(a, b))
	})
	kids := make(map[shoal.Path]int)
	claims := make(map[shoal.Path][]claim)
	var total sums
	u := c.tx.newRowReader()
	for _, p := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		lives, err := c.row(u, p, kids[p], &total)
		if err != nil {
			return err
		}
		if lives {
			kids[p.Parent()]++
		}
		if row := c.rows[p]; row != nil {
			for _, n := range row.names {
				at := p.Parent().Join(n.name)
				claims[at] = append(claims[at], claim{p.Name(), n.record, n.chosen})
			}
		}
	}
	for _, p := range paths {
		if err := c.need(u, p, claims[p], &total); err != nil {
			return err
		}
	}
	return c.sums(&total)
}

func keysOf[V any](m map[shoal.Path]V) map[shoal.Path]bool {
	out := make(map[shoal.Path]bool, len(m))
	for p := range m {
		out[p] = true
	}
	return out
}

var noRow rowData

// row compares what a row says of its own records, and tells whether something lives there.
func (c *checker) row(u *rowUpdate, p shoal.Path, kids int, total *sums) (lives bool, err error) {
	row := c.rows[p]
	if row == nil {
		row = &noRow
	}
	byRef := func(a, b ref) int { return cmp.Or(cmp.Compare(a.journal, b.journal), cmp.Compare(a.seq, b.seq)) }
	if want := slices.SortedFunc(slices.Values(c.visible[p]), byRef); !slices.Equal(want, slices.SortedFunc(slices.Values(row.live), byRef)) {
		c.fault("%q has records %v, want %v", string(p), row.live, want)
		return row.lives, nil
	}
	if len(row.held) != len(c.held[p]) {
		c.fault("%q is held by %v, want %v", string(p), row.held, c.held[p])
	}
	e := &rowEdit{path: p, row: *row}
	recs, err := u.records(e)
	if err != nil {
		return false, err
	}
	e.recs, e.resolved = recs, true
	e.res = resolve(recs, c.tx.Lineage(), kids > 0)
	u.edits[p] = e
	lives = e.res.Winner != nil || len(row.held) > 0
	followable := false
	for _, d := range e.res.Tombstones {
		followable = followable || e.record(d).Entry.MovedTo != ""
	}
	if row.kids != kids || row.lives != lives || row.followable != followable {
		c.fault("%q: kids %d, lives %v, followable %v; want %d, %v, %v", string(p), row.kids, row.lives, row.followable, kids, lives, followable)
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
	if long := longContents(recs, nil); len(long) > len(row.long) {
		c.fault("%q names %d long contents, noted %d", string(p), len(long), len(row.long))
	}
	return lives, nil
}

func count(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (c *checker) in(set int, p shoal.Path) bool { return c.tx.bucket(set).Get(pathKey(p)) != nil }

// need compares names, claims and base with what should be there.
func (c *checker) need(u *rowUpdate, p shoal.Path, claims []claim, total *sums) error {
	e := u.edits[p]
	if e == nil { // its records were at fault already
		return nil
	}
	names, err := u.losersNames(e)
	if err != nil {
		return err
	}
	if !slices.Equal(names, e.row.names) {
		c.fault("%q: losers named %v, want %v", string(p), e.row.names, names)
	}
	byRecord := func(a, b claim) int {
		return cmp.Or(strings.Compare(a.of, b.of), cmp.Compare(a.record.journal, b.record.journal), cmp.Compare(a.record.seq, b.record.seq))
	}
	if !slices.Equal(slices.SortedFunc(slices.Values(claims), byRecord), slices.SortedFunc(slices.Values(e.row.claims), byRecord)) {
		c.fault("%q is claimed by %v, want %v", string(p), e.row.claims, claims)
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
