package mesh

// node is an accepted statement with its place in the roster. Everything here depends on the statement and what it names
// alone, never on what else has arrived, and is set once when the node is made (but for the verdict of exactness, which is
// found out on first use and stays).
type node struct {
	*statement
	order  int     // position in Roster.nodes, after all that it names
	depth  int     // longest way from genesis; grows along every "names", so it orders causes before effects
	chain  int     // number of statements before it in its signer's chain
	causes []*node // all that it names
	back   *node   // the statement before it in its signer's chain; nil for the first
	jump   *node   // some node further back in the chain: ancestors are found in logarithmic time

	member int   // number among the membership statements, or -1
	folder int   // number among the folder and epoch statements, or -1
	before views // all that came before, itself not included
	upto   views // itself included

	pathLength int       // of an admission: number of admissions from the root to this one
	exact      exactness // of an epoch; found out when first asked for
}

// views is the causal past of a statement, as far as evaluation needs it.
type views struct {
	members *past // membership statements: genesis, admit, role, revoke
	folders *past // folder and epoch statements
}

func (v views) union(o views) views {
	return views{members: v.members.union(o.members), folders: v.folders.union(o.folders)}
}

// saw tells whether the membership statement m came before n, in the sense that n's signer knew it.
func (n *node) saw(m *node) bool { return n != m && n.before.members.has(m.member) }

// compareNodes orders nodes by depth, then hash: the same on all devices, causes first, and not moved by what arrives later.
func compareNodes(a, b *node) int {
	if a.depth != b.depth {
		return a.depth - b.depth
	}
	return compareHash(a.hash, b.hash)
}

// link sets where n stands in its signer's chain. The jump pointers are those of Myers, "An applicative random-access stack" (1983).
func (n *node) link(back *node) {
	n.back = back
	if back == nil {
		n.jump = n
		return
	}
	n.chain = back.chain + 1
	far := back.jump
	if back.chain-far.chain == far.chain-far.jump.chain {
		n.jump = far.jump
	} else {
		n.jump = back
	}
}

// follows tells whether o is n or comes before it in n's own chain.
func (n *node) follows(o *node) bool {
	for n.chain > o.chain {
		if n.jump.chain >= o.chain && n.jump != n {
			n = n.jump
		} else {
			n = n.back
		}
	}
	return n == o
}

// role returns the role that an Admit or Role statement gives.
func (n *node) role() (Role, bool) {
	switch p := n.payload.(type) {
	case admit:
		return p.role, true
	case giveRole:
		return p.role, true
	}
	return 0, false
}

// exactness tells whether an epoch's recipients are those that they must be.
type exactness uint8

const (
	exactnessUnknown exactness = iota
	exact
	inexact
)
