package watch

import "strings"

// node is a watched folder. Its path is the way to the root, so that moving a folder moves all in it.
type node struct {
	wd       int32
	name     string
	parent   *node            // nil: the root, or detached
	children map[string]*node // nil: none
	pending  map[string]bool  // files that were written and not closed since; nil: none
	seen     uint64           // the walk that last found it
	detached bool             // moved away and not seen arriving
}

// maxPending bounds node.pending; beyond it, files count as closed.
const maxPending = 256

// tree is what inotify has watches on, by watch descriptor.
type tree struct {
	root *node
	byWD map[int32]*node
}

// path returns the path of n; ok is false if n is in no known place.
func (t *tree) path(n *node) (p string, ok bool) {
	var names []string
	for ; n != t.root; n = n.parent {
		if n == nil || n.parent == nil {
			return "", false
		}
		names = append(names, n.name)
	}
	if len(names) == 1 {
		return names[0], true
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(names[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String(), true
}

// place puts the watch wd at name in parent, wherever it was before, and returns its node. A folder is one inode and one
// watch: if wd is known, the folder was moved here.
func (t *tree) place(wd int32, parent *node, name string) *node {
	n := t.byWD[wd]
	if n == nil {
		n = &node{wd: wd}
		t.byWD[wd] = n
	}
	if n == t.root || n.parent == parent && n.name == name && !n.detached {
		return n
	}
	for up := parent; up != nil; up = up.parent {
		if up == n {
			return n // a circle is no place: the events that would explain it are still to come
		}
	}
	t.detach(n)
	if old := parent.children[name]; old != nil {
		t.detach(old)
	}
	n.parent, n.name, n.detached = parent, name, false
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	parent.children[name] = n
	return n
}

// detach takes n and all in it out of its place. The watches stay.
func (t *tree) detach(n *node) {
	if n.parent != nil {
		delete(n.parent.children, n.name)
		if len(n.parent.children) == 0 {
			n.parent.children = nil
		}
	}
	n.parent, n.detached = nil, true
}

// forget drops n alone, as when its watch has ended; what was in it is detached.
func (t *tree) forget(n *node) {
	for _, c := range n.children {
		c.parent, c.detached = nil, true
	}
	n.children = nil
	t.detach(n)
	delete(t.byWD, n.wd)
}

// drop forgets n and all in it and returns their watches.
func (t *tree) drop(n *node) []int32 {
	wds := []int32{n.wd}
	for _, c := range n.children {
		wds = append(wds, t.drop(c)...)
	}
	t.forget(n)
	return wds
}

// setPending says whether the file name in n is being written.
func (n *node) setPending(name string, writing bool) {
	switch {
	case !writing:
		delete(n.pending, name)
		if len(n.pending) == 0 {
			n.pending = nil
		}
	case len(n.pending) < maxPending:
		if n.pending == nil {
			n.pending = map[string]bool{}
		}
		n.pending[name] = true
	}
}
