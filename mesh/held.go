package mesh

import "slices"

// Limits of statements that wait for others.
const (
	maxHeld      = 4096
	maxHeldBytes = 16 << 20
)

// heldStatements are statements with a true signature that name something which is not here yet. Each waits for one statement
// at a time. When there is no room, the oldest goes: its sender will offer it again.
type heldStatements struct {
	byHash  map[Hash]*heldStatement
	waiting map[Hash][]*heldStatement // by what is waited for
	oldest  []*heldStatement          // in order of arrival; entries that are gone are skipped
	bytes   int
}

type heldStatement struct {
	*statement
	missing Hash
	gone    bool
}

func newHeld() heldStatements {
	return heldStatements{byHash: map[Hash]*heldStatement{}, waiting: map[Hash][]*heldStatement{}}
}

func (h *heldStatements) has(s Hash) bool { return h.byHash[s] != nil }

func (h *heldStatements) hold(s *statement, missing Hash) {
	e := &heldStatement{statement: s, missing: missing}
	h.byHash[s.hash] = e
	h.waiting[missing] = append(h.waiting[missing], e)
	h.oldest = append(h.oldest, e)
	h.bytes += len(s.raw)
	for len(h.byHash) > maxHeld || h.bytes > maxHeldBytes {
		h.drop(h.first())
	}
	if len(h.oldest) > 2*maxHeld {
		h.oldest = slices.DeleteFunc(h.oldest, func(e *heldStatement) bool { return e.gone })
	}
}

// first returns the oldest that is still held; there is one.
func (h *heldStatements) first() *heldStatement {
	for h.oldest[0].gone {
		h.oldest = h.oldest[1:]
	}
	return h.oldest[0]
}

func (h *heldStatements) drop(e *heldStatement) {
	h.forget(e)
	rest := slices.DeleteFunc(h.waiting[e.missing], func(o *heldStatement) bool { return o == e })
	if len(rest) == 0 {
		delete(h.waiting, e.missing)
	} else {
		h.waiting[e.missing] = rest
	}
}

func (h *heldStatements) forget(e *heldStatement) {
	e.gone = true
	delete(h.byHash, e.hash)
	h.bytes -= len(e.raw)
}

// take removes and returns the statements that wait for m.
func (h *heldStatements) take(m Hash) []*statement {
	list := h.waiting[m]
	delete(h.waiting, m)
	out := make([]*statement, len(list))
	for i, e := range list {
		h.forget(e)
		out[i] = e.statement
	}
	return out
}

// missing returns what is neither known nor held, and named by a held statement.
func (h *heldStatements) missing(known func(Hash) bool) []Hash {
	set := map[Hash]bool{}
	for _, e := range h.byHash {
		for _, p := range e.names() {
			if !known(p) && !h.has(p) {
				set[p] = true
			}
		}
		if g := Hash(e.mesh); !known(g) {
			set[g] = true
		}
	}
	out := make([]Hash, 0, len(set))
	for m := range set {
		out = append(out, m)
	}
	slices.SortFunc(out, compareHash)
	return out
}
