package packstore

import (
	"bytes"
	"slices"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/block/internal/packfile"
)

// name is a block in a space: what all copies of it have in common.
type name struct {
	space uint32
	id    block.ID
}

// table is what the store keeps in memory: the numbers of spaces, the state of each pack, and what the index does not have
// yet. It is a plain value without locks; Store.mu guards it.
type table struct {
	spaces  map[space]uint32
	packs   map[uint32]*packState
	pending map[name][]located // nowhere: deleted

	// What the next commit has to write beside pending.
	changes   int // copies in pending
	newSpaces map[space]uint32
	touched   map[uint32]bool // packs whose state changed
	dropped   []uint32        // packs whose files are gone
}

func newTable(spaces map[space]uint32, packs map[uint32]packState) *table {
	t := &table{spaces: spaces, packs: make(map[uint32]*packState)}
	for n, p := range packs {
		t.packs[n] = &p
	}
	t.committed()
	return t
}

// committed forgets what the index has now.
func (t *table) committed() {
	t.pending = make(map[name][]located)
	t.changes = 0
	t.newSpaces = make(map[space]uint32)
	t.touched = make(map[uint32]bool)
	t.dropped = nil
}

// number returns the short number of a space; a new one if it has none.
func (t *table) number(s space) uint32 {
	n, ok := t.spaces[s]
	if !ok {
		n = uint32(len(t.spaces)) // spaces are never removed
		t.spaces[s], t.newSpaces[s] = n, n
	}
	return n
}

// overlay merges what is pending over what the index has, both for n, and returns the copies that match sealed (zero:
// all), lowest hash first.
func (t *table) overlay(n name, indexed []located, sealed [32]byte) []located {
	copies := indexed
	for _, p := range t.pending[n] {
		if sealed != ([32]byte{}) && sealed != p.sealed {
			continue
		}
		copies = slices.DeleteFunc(copies, func(l located) bool { return l.sealed == p.sealed })
		if p.place != (packfile.Place{}) {
			copies = append(copies, p)
		}
	}
	slices.SortFunc(copies, func(a, b located) int { return bytes.Compare(a.sealed[:], b.sealed[:]) })
	return copies
}

// move notes that the copy old now lies at l.place: nowhere if that is zero. old.place is zero for a new copy.
func (t *table) move(n name, old, l located) {
	if old.place != (packfile.Place{}) {
		t.addLive(old.place.Pack, -old.size())
	}
	if l.place != (packfile.Place{}) {
		t.addLive(l.place.Pack, l.size())
	}
	list := t.pending[n]
	if i := slices.IndexFunc(list, func(p located) bool { return p.sealed == l.sealed }); i >= 0 {
		list[i] = l
		return
	}
	t.pending[n] = append(list, l)
	t.changes++
}

func (t *table) addLive(pack uint32, bytes int64) {
	if p := t.packs[pack]; p != nil {
		p.live += bytes
		t.touched[pack] = true
	}
}

// addDeletion notes that a pack holds a deletion of what lies at gone. It takes room for as long as the other pack exists; after
// that it is counted still, 144 bytes that are freed a little late.
func (t *table) addDeletion(pack uint32, gone packfile.Place) {
	if p := t.packs[pack]; p != nil && gone.Pack != pack {
		p.deletions += packfile.RecordHeadSize
		t.touched[pack] = true
	}
}

// setIndexed notes how far a pack has been read or written; a pack not heard of before is added.
func (t *table) setIndexed(pack uint32, end int64) {
	p := t.packs[pack]
	if p == nil {
		p = &packState{}
		t.packs[pack] = p
	}
	if p.indexed != end {
		p.indexed = end
		t.touched[pack] = true
	}
}

// retire notes that nothing in a pack counts any more.
func (t *table) retire(pack uint32) {
	t.packs[pack].retired = true
	t.touched[pack] = true
}

// drop forgets a pack whose file is gone.
func (t *table) drop(pack uint32) {
	delete(t.packs, pack)
	delete(t.touched, pack)
	t.dropped = append(t.dropped, pack)
}

// toCommit returns what the index has to learn.
func (t *table) toCommit() (changes []change, packs map[uint32]packState) {
	changes = make([]change, 0, t.changes)
	for n, list := range t.pending {
		for _, l := range list {
			changes = append(changes, change{space: n.space, id: n.id, located: l})
		}
	}
	packs = make(map[uint32]packState, len(t.touched))
	for n := range t.touched {
		packs[n] = *t.packs[n]
	}
	return changes, packs
}

// numbers returns the numbers of all packs that are not retired, ascending.
func (t *table) numbers() []uint32 {
	var out []uint32
	for n, p := range t.packs {
		if !p.retired {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
