package node

import "sync"

// bell tells any number of waiters that something changed. The zero value works; it is safe for concurrent use.
type bell struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; closed by the next ring; nil while nobody waits
}

// wait returns a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
