package mesh

// node is an accepted statement with its place in the roster. But for order and the numbers,
// everything here depends on the statement and what it names alone, never on what else has arrived, and is set once when the node
// is made (exactness: when first asked for).
type node struct {
	*statement
	order  int     // position in Roster.nodes, after all that it names
	depth  int     // longest way from genesis; grows along every "names", so it orders causes before effects
	causes []*node // all that it names
	back   *node   // the statement before it in its signer's chain; nil for the first
	number int     // position among its signer's statements
	kept   bitSet  // of a Role or Revoke statement: numbers of its subject's statements that count nevertheless

	member int   // number among the membership statements, or -1
	folder int   // number among the folder and epoch statements, or -1
	before views // all that came before, itself not included
	upto   views // itself included

	gives      Role      // of an Admit or Role statement; zero for others
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

// isTaker tells whether n is a statement that can take rights away.
func (n *node) isTaker() bool { return n.kind == kindRole || n.kind == kindRevoke }

// compareNodes orders nodes by depth, then hash: the same on all devices, causes first, and not moved by what arrives later.
func compareNodes(a, b *node) int {
	if a.depth != b.depth {
		return a.depth - b.depth
	}
	return compareHash(a.hash, b.hash)
}

// exactness tells whether an epoch's recipients are those that they must be.
type exactness uint8

const (
	exactnessUnknown exactness = iota
	exact
	inexact
)

// bitSet is a set of small numbers.
type bitSet []uint64

func (b bitSet) has(i int) bool { return i/64 < len(b) && b[i/64]>>(i%64)&1 == 1 }

// keep returns b with the statements of a chain from n backwards.
func (b bitSet) keep(n *node) bitSet {
	for ; n != nil && !b.has(n.number); n = n.back {
		for n.number/64 >= len(b) {
			b = append(b, 0)
		}
		b[n.number/64] |= 1 << (n.number % 64)
	}
	return b
}
