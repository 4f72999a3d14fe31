package plan

import (
	"slices"

	"github.com/shoalmesh/shoal"
)

// Node is what a path holds, as far as planning needs to know. The zero Kind is invalid; "nothing here" is a nil *Node.
type Node struct {
	Kind    shoal.Kind
	Content [32]byte // files and symlinks: their content ID; folders: zero
	Mode    uint32
	MTime   int64
}

// same tells whether n and o differ in nothing that a disk shows. A folder has no modification time of its own here.
func (n *Node) same(o *Node) bool {
	if n == nil || o == nil {
		return n == o
	}
	if n.Kind == shoal.KindFolder && o.Kind == shoal.KindFolder {
		return n.Mode == o.Mode
	}
	return *n == *o
}

func (n *Node) folder() bool { return n != nil && n.Kind == shoal.KindFolder }

// holdsContent is true for files and symlinks: what a plan may never drop without a trace.
func (n *Node) holdsContent() bool { return n != nil && n.Kind != shoal.KindFolder }

// Item is one path whose base differs from what the index wants there.
type Item struct {
	Path shoal.Path
	Base *Node // nil: nothing on disk
	Want *Node // nil: nothing should be here
	// Ready is false while the content of Want is not at hand; such an item is planned only as the target of a Move.
	Ready bool
	// After lists paths that must be on disk before this path is replaced or removed: its conflict copies.
	After []shoal.Path
}

// OpKind says what an operation does.
type OpKind uint8

// The operations, in the order in which a plan has them. The zero value is invalid.
const (
	Mkdir   OpKind = iota + 1 // make a folder where nothing is
	Put                       // place a new file or symlink where nothing is
	Move                      // rename a file from a name that is not wanted any more to one that wants the same content
	Remove                    // take a file or symlink away, into history
	Rmdir                     // remove a folder that should be empty by now
	Swap                      // exchange a file or symlink for another, so that the name is never absent
	SetMeta                   // set mode and modification time only
	Adopt                     // nothing to do on disk: only the version moves on
)

// String returns the lower-case name of the operation.
func (k OpKind) String() string {
	names := [...]string{"", "mkdir", "put", "move", "remove", "rmdir", "swap", "setmeta", "adopt"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Op is one operation on the disk.
type Op struct {
	Kind OpKind
	Path shoal.Path
	From shoal.Path // Move: the name that the file has now
	Want *Node      // nil for Remove and Rmdir
}

// Disk answers what a path outside the items holds: planning needs it for the parents of items.
type Disk interface {
	// Base returns what is on disk at p as the database has it; nil for nothing. The root is never asked for.
	Base(p shoal.Path) *Node
}

// Plan returns the operations that bring the items' paths nearer to what is wanted. An item that can't be
// done yet (content missing, parent in the way, copies not there) is left out; it comes back with the next plan.
// Items must be in tree order (shoal.ComparePaths) and name each path once.
//
// Order: folders top down, conflict copies and other new files, moves, removals bottom up, then what replaces
// something of another kind, then swaps, then metadata with folders last, bottom up.
func Plan(items []Item, disk Disk) []Op {
	p := &planner{items: items, disk: disk, at: make(map[shoal.Path]*Node, len(items)), moved: map[int]bool{}, done: map[int]bool{}}
	for i := range items {
		p.at[items[i].Path] = items[i].Base
	}
	p.adoptions()
	p.creations()
	p.moves()
	p.removals()
	p.creations()
	p.swaps()
	p.metadata()
	return p.ops
}

// planner carries the tree as it will be after the operations planned so far.
type planner struct {
	items []Item
	disk  Disk
	at    map[shoal.Path]*Node // the items' paths after the operations so far, and others that were asked for
	ops   []Op
	moved map[int]bool // items whose content left by a Move
	done  map[int]bool // items that need nothing more
}

func (p *planner) now(path shoal.Path) *Node {
	if n, ok := p.at[path]; ok {
		return n
	}
	n := p.disk.Base(path) // many items are in one folder
	p.at[path] = n
	return n
}

// parentStands tells whether the parent of path is a folder at this point of the plan.
func (p *planner) parentStands(path shoal.Path) bool {
	parent := path.Parent()
	return parent == "" || p.now(parent).folder()
}

func (p *planner) emit(i int, kind OpKind, from shoal.Path) {
	it := &p.items[i]
	op := Op{Kind: kind, Path: it.Path, From: from}
	if kind != Remove && kind != Rmdir {
		op.Want = it.Want
	}
	p.ops = append(p.ops, op)
	if kind == Remove || kind == Rmdir {
		p.at[it.Path] = nil
		p.done[i] = it.Want == nil
		return
	}
	p.at[it.Path] = it.Want
	p.done[i] = true
}

func (p *planner) adoptions() {
	for i, it := range p.items {
		if it.Base.same(it.Want) {
			p.emit(i, Adopt, "")
		}
	}
}

// creations makes what is wanted where nothing is, in tree order, so that parents come first.
func (p *planner) creations() {
	for i, it := range p.items {
		switch {
		case p.done[i] || it.Want == nil || p.at[it.Path] != nil:
		case it.Want.folder() && p.parentStands(it.Path):
			p.emitMkdir(i)
		case !it.Want.folder() && it.Ready && p.parentStands(it.Path):
			p.emit(i, Put, "")
		}
	}
}

// emitMkdir leaves the folder's mode to the metadata step: a folder without write permission could not be filled.
func (p *planner) emitMkdir(i int) {
	it := &p.items[i]
	p.ops = append(p.ops, Op{Kind: Mkdir, Path: it.Path, Want: it.Want})
	p.at[it.Path] = &Node{Kind: shoal.KindFolder}
}

// moves pairs a content that has to leave with a place where the same content is wanted and nothing is.
func (p *planner) moves() {
	sources := map[[32]byte][]int{}
	for i, it := range p.items {
		if !p.done[i] && it.Base.holdsContent() && it.Base.Kind == shoal.KindFile && it.Want == nil && p.copiesStand(&p.items[i]) {
			sources[it.Base.Content] = append(sources[it.Base.Content], i)
		}
	}
	if len(sources) == 0 {
		return
	}
	for i, it := range p.items {
		if p.done[i] || it.Want == nil || it.Want.Kind != shoal.KindFile || p.at[it.Path] != nil || it.Ready || !p.parentStands(it.Path) {
			continue
		}
		from := sources[it.Want.Content]
		if len(from) == 0 {
			continue
		}
		s := from[0]
		sources[it.Want.Content] = from[1:]
		p.emit(i, Move, p.items[s].Path)
		p.at[p.items[s].Path] = nil
		p.done[s] = true
	}
}

func (p *planner) copiesStand(it *Item) bool {
	return !slices.ContainsFunc(it.After, func(c shoal.Path) bool { return p.now(c) == nil })
}

// removals clears, bottom up, what is not wanted or stands where another kind is wanted. A file is only cleared for a
// folder, or a folder for a file, when the new content is at hand.
func (p *planner) removals() {
	for i := len(p.items) - 1; i >= 0; i-- {
		it := &p.items[i]
		have := p.at[it.Path]
		if p.done[i] || have == nil || !p.copiesStand(it) {
			continue
		}
		gone := it.Want == nil
		otherKind := !gone && have.folder() != it.Want.folder() && (it.Ready || it.Want.folder())
		if !gone && !otherKind {
			continue
		}
		if !have.folder() {
			p.emit(i, Remove, "")
		} else if !p.holdsOthers(i) {
			p.emit(i, Rmdir, "")
		}
	}
}

// holdsOthers tells whether an item inside folder i is still there at this point. Things inside that are no items are
// found by the disk: removing the folder fails then and is planned again.
func (p *planner) holdsOthers(i int) bool {
	dir := p.items[i].Path
	for j := i + 1; j < len(p.items) && p.items[j].Path.Under(dir); j++ {
		if p.at[p.items[j].Path] != nil {
			return true
		}
	}
	return false
}

// swaps replaces content by content.
func (p *planner) swaps() {
	for i := range p.items {
		it := &p.items[i]
		have := p.at[it.Path]
		if p.done[i] || !have.holdsContent() || !it.Want.holdsContent() {
			continue
		}
		if have.Kind == it.Want.Kind && have.Content == it.Want.Content {
			continue
		}
		if it.Ready && p.copiesStand(it) {
			p.emit(i, Swap, "")
		}
	}
}

// metadata comes last, folders bottom up, so that no folder loses its write permission before it is filled.
func (p *planner) metadata() {
	for i, it := range p.items {
		have := p.at[it.Path]
		if !p.done[i] && have.holdsContent() && it.Want != nil && have.Kind == it.Want.Kind && have.Content == it.Want.Content && p.copiesStand(&p.items[i]) {
			p.emit(i, SetMeta, "")
		}
	}
	for i := len(p.items) - 1; i >= 0; i-- {
		it := &p.items[i]
		if !p.done[i] && p.at[it.Path].folder() && it.Want.folder() {
			p.emit(i, SetMeta, "")
		}
	}
}
