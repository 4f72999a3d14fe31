package packstore

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

const (
	packSuffix    = ".pack"
	damagedSuffix = ".damaged" // behind packSuffix: a pack whose header is lost; left for a person
	maxOpen       = 64         // open packs; a store may have thousands, a process not
)

// packName returns the file name of a pack: 8 hex digits.
func packName(n uint32) string { return fmt.Sprintf("%08x%s", n, packSuffix) }

// packNumber is the inverse of packName; it also knows the names of damaged packs, whose numbers are not used again.
func packNumber(name string) (n uint32, damaged, ok bool) {
	name, damaged = strings.CutSuffix(name, damagedSuffix)
	digits, ok := strings.CutSuffix(name, packSuffix)
	v, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || packName(uint32(v)) != name {
		return 0, false, false
	}
	return uint32(v), damaged, true
}

// handles keeps packs open for reading, the most recently used ones. Safe for concurrent use.
type handles struct {
	files files

	mu   sync.Mutex
	open map[uint32]*handle // guarded by mu
	tick uint64             // guarded by mu: counts uses
}

// handle is one open pack. A handle that left the map is closed by its last user.
type handle struct {
	file file
	used uint64 // guarded by handles.mu: tick of the last use
	refs int    // guarded by handles.mu: users, and 1 for the map
}

func newHandles(f files) *handles { return &handles{files: f, open: make(map[uint32]*handle)} }

// acquire returns an open pack; the caller must release it. Opening happens without the lock, so two may open the same pack;
// one of them wins.
func (h *handles) acquire(pack uint32) (*handle, error) {
	if x := h.use(pack, nil); x != nil {
		return x, nil
	}
	f, err := h.files.open(packName(pack))
	if err != nil {
		return nil, err
	}
	return h.use(pack, f), nil
}

// use takes a reference to the handle of pack. If there is none, it makes one of f; with f nil it returns nil.
func (h *handles) use(pack uint32, f file) *handle {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tick++
	x := h.open[pack]
	switch {
	case x != nil && f != nil:
		f.Close() // for reading only: nothing can be lost
	case x == nil && f == nil:
		return nil
	case x == nil:
		if len(h.open) >= maxOpen {
			h.evict()
		}
		x = &handle{file: f, refs: 1}
		h.open[pack] = x
	}
	x.used = h.tick
	x.refs++
	return x
}

// evict lets go of the pack that was not used for longest. h.mu is held.
func (h *handles) evict() {
	var oldest uint32
	first := true
	for n, x := range h.open {
		if first || x.used < h.open[oldest].used {
			oldest, first = n, false
		}
	}
	h.letGo(oldest)
}

// letGo takes pack out of the map. h.mu is held.
func (h *handles) letGo(pack uint32) {
	if x := h.open[pack]; x != nil {
		delete(h.open, pack)
		h.unref(x)
	}
}

func (h *handles) unref(x *handle) {
	if x.refs--; x.refs == 0 {
		x.file.Close() // for reading only: nothing can be lost
	}
}

// release gives back what acquire returned.
func (h *handles) release(x *handle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unref(x)
}

// drop closes a pack as soon as nobody reads it.
func (h *handles) drop(pack uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letGo(pack)
}

// close drops all.
func (h *handles) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range h.open {
		h.letGo(n)
	}
}
