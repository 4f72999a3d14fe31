package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal/block"
)

// checkKept recomputes all demands of a keeper from its records and nodes, and reports what differs.
func (f *Folder) checkKept(ctx context.Context) error {
	return f.View(func(tx *Tx) error {
		c := &keepChecker{
			checker: checker{tx: tx}, uses: map[string]*use{}, nodes: map[[32]byte]*node{}, replaced: map[string]uint64{},
		}
		for _, step := range []func(context.Context) error{c.journals, c.slots, c.lists, c.records, c.retained, c.tellNodes, c.compareUses, c.copies, c.compareNodes, c.compareSums} {
			if err := step(ctx); err != nil {
				return errors.Join(append(c.faults, err)...)
			}
		}
		return errors.Join(c.faults...)
	})
}

type keepChecker struct {
	checker
	uses     map[string]*use
	nodes    map[[32]byte]*node
	replaced map[string]uint64
	sums     keepSums
}

// records counts what records in journals demand.
func (c *keepChecker) records(ctx context.Context) error {
	cur := c.tx.bucket(bRecords).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		s, err := decodeStored(v, recordKeySeq(k))
		if err != nil {
			return err
		}
		d := demandLive
		if e := c.tx.replacedEntry(k); e.count > 0 {
			if d = demandKept; e.released {
				d = demandNone
			} else if c.tx.bucket(bExpiry).Get(expiryKey(e.since, k)) == nil {
				c.fault("replaced record %x is never let go of", k)
			}
		}
		needs, err := c.demand(k, s, d)
		if err != nil {
			return err
		}
		for _, dot := range needs.replaces {
			if j := c.tx.mustJournals().byID[dot.Journal]; j != nil && j.number != keyJournal(k) {
				c.replaced[string(recordKey(j.number, dot.Seq))]++
			}
		}
		c.sums.records++
		c.sums.recordBytes += int64(len(s.raw))
	}
	cur = c.tx.bucket(bReplaced).Cursor()
	n := 0
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if e := c.tx.replacedEntry(k); e.count != c.replaced[string(k)] {
			c.fault("record %x is replaced by %d, want %d", k, e.count, c.replaced[string(k)])
		}
		n++
	}
	if n != len(c.replaced) {
		c.fault("%d records are replaced, want %d", n, len(c.replaced))
	}
	return ctx.Err()
}

func (c *keepChecker) retained(context.Context) error {
	cur := c.tx.bucket(bKept).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		since, s, err := c.tx.loadKept(k)
		if err != nil {
			return err
		}
		if c.tx.bucket(bExpiry).Get(expiryKey(since, k)) == nil {
			c.fault("kept record %x is never let go of", k)
		}
		if _, err := c.demand(k, s, demandKept); err != nil {
			return err
		}
		c.sums.kept++
		c.sums.keptBytes += int64(len(s.raw))
	}
	return nil
}

func (c *keepChecker) demand(key []byte, s *stored, d demand) (*clearPart, error) {
	if recordHash(s.raw) != s.hash {
		c.fault("record %x has another hash", key)
	}
	needs, err := c.tx.needsOf(key, s)
	if err != nil {
		return nil, err
	}
	for _, r := range needs.refs {
		c.use(r, d)
	}
	if needs.root != ([32]byte{}) {
		c.node(needs.root, d)
	}
	return needs, nil
}

func (c *keepChecker) use(r block.EpochRef, d demand) {
	key, _ := c.tx.refKey(r)
	u := c.uses[string(key)]
	if u == nil {
		u = new(use)
		c.uses[string(key)] = u
	}
	move(&u.live, &u.kept, demandNone, d)
}

func (c *keepChecker) node(hash [32]byte, d demand) {
	n := c.nodes[hash]
	if n == nil {
		n = new(node)
		c.nodes[hash] = n
	}
	move(&n.live, &n.kept, demandNone, d)
}

// tellNodes counts what nodes demand, as far as they have told their children.
func (c *keepChecker) tellNodes(context.Context) error {
	cur := c.tx.bucket(bNodes).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		n, err := c.tx.loadNode([32]byte(k))
		if err != nil {
			return err
		}
		if (c.tx.bucket(bWork).Get(k) != nil) != n.toDo() || (c.tx.bucket(bLackingNodes).Get(k) != nil) != n.lacking() {
			c.fault("reference node %x is not on its lists", k)
		}
		c.sums.work += count(n.toDo())
		c.sums.lackingNodes += count(n.lacking())
		if len(n.data) == 0 {
			continue
		}
		c.sums.nodes++
		c.sums.nodeBytes += int64(len(n.data))
		decoded, err := block.DecodeRefNode(n.data)
		if err != nil || blake3.Sum256(n.data) != [32]byte(k) {
			c.fault("reference node %x is damaged", k)
			continue
		}
		for _, r := range decoded.Refs {
			c.use(r, n.given)
		}
		for _, child := range decoded.Children {
			c.node(child, n.given)
		}
	}
	return nil
}

func (c *keepChecker) compareUses(context.Context) error {
	cur := c.tx.bucket(bUses).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		u, err := c.tx.loadUse(k)
		if err != nil {
			return err
		}
		want := c.uses[string(k)]
		if want == nil {
			want = new(use)
		}
		delete(c.uses, string(k))
		if u.live != want.live || u.kept != want.kept {
			c.fault("block %x has demands %d, %d, want %d, %d", k, u.live, u.kept, want.live, want.kept)
		}
		if (c.tx.bucket(bLacking).Get(k) != nil) != u.lacking() || (c.tx.bucket(bIdle).Get(sinceKey(u.since, k)) != nil) != u.idle() {
			c.fault("block %x is not on its lists", k)
		}
		c.sums.lacking += count(u.lacking())
		c.sums.blocks += count(u.held)
		c.sums.blockBytes += int64(u.bytes)
	}
	for k, u := range c.uses {
		if u.live+u.kept > 0 {
			c.fault("block %x is demanded and not known", k)
		}
	}
	return nil
}

// copies holds that copies are known only of blocks that are stored, and counts the doubts.
func (c *keepChecker) copies(context.Context) error {
	doubts := map[uint32]int64{}
	cur := c.tx.bucket(bCopies).Cursor()
	for k, v := cur.Seek(nil); k != nil; k, v = cur.Next() {
		if len(k) != copyKeyBytes {
			continue
		}
		held, err := decodeHeldCopy(v)
		if err != nil {
			return err
		}
		for _, d := range held.doubters {
			doubts[d]++
		}
		if u, err := c.tx.loadUse(k[:useKeyBytes]); err != nil || !u.stored() {
			c.fault("copy %x is of a block that is not here", k)
		}
	}
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if len(k) != 4 {
			continue
		}
		d := binary.BigEndian.Uint32(k)
		if have := c.tx.doubtsOf(d); have != doubts[d] {
			c.fault("device %d doubts %d copies, want %d", d, have, doubts[d])
		}
		delete(doubts, d)
	}
	for d := range doubts {
		c.fault("the doubts of device %d are not counted", d)
	}
	return nil
}

func (c *keepChecker) compareNodes(context.Context) error {
	for hash, want := range c.nodes {
		n, err := c.tx.loadNode(hash)
		if err != nil {
			return err
		}
		if n.live != want.live || n.kept != want.kept {
			c.fault("reference node %x has demands %d, %d, want %d, %d", hash, n.live, n.kept, want.live, want.kept)
		}
	}
	return nil
}

func (c *keepChecker) compareSums(context.Context) error {
	have, err := c.tx.loadKeepSums()
	if err != nil {
		return err
	}
	for i, n := range have.all() {
		if *n != *c.sums.all()[i] {
			c.fault("total %d of what is kept is %d, want %d", i, *n, *c.sums.all()[i])
		}
	}
	cur := c.tx.bucket(bExpiry).Cursor()
	for k, _ := cur.Seek(nil); k != nil; k, _ = cur.Next() {
		if len(k) == 8+keptKeyBytes && c.tx.bucket(bKept).Get(k[8:]) == nil {
			c.fault("record %x is to be let go of and not kept", k[8:])
		}
		if len(k) == 18 {
			if e := c.tx.replacedEntry(k[8:]); e.released || int64(binary.BigEndian.Uint64(k)) != e.since {
				c.fault("replaced record %x is to be let go of twice", k[8:])
			}
		}
	}
	if roots := c.tx.bucket(bRoots).Cursor(); roots != nil {
		for k, _ := roots.Seek(nil); k != nil; k, _ = roots.Next() {
			if len(k) != 42 || c.tx.bucket(bRecords).Get(bytes.Clone(k[32:])) == nil {
				c.fault("tree %x names a record that is not here", k)
			}
		}
	}
	return nil
}
