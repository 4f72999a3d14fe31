package blockexchange

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/shoalmesh/shoal"
)

// fetch is one running Fetch. Guarded by Exchange.mu.
type fetch struct {
	id     GroupID
	wants  map[Key]Want // not delivered yet
	queue  []*held      // came, not consumed; bounded by Limits.InFlight
	wakeup chan struct{}
}

func (f *fetch) poke() {
	select {
	case f.wakeup <- struct{}{}:
	default:
	}
}

// Fetch gets blocks from whoever has them, and calls deliver for each, one at a time, in the order in which they come, which may be any. A block
// that is wanted twice (two wants of one Key) is delivered once. The plaintext slice is valid, and not to be changed, until
// deliver returns. Several Fetches may run at once; they share requests for a block, and take turns.
//
// A want costs some 300 bytes while it is open: hand over thousands at a time, not millions.
//
// It returns nil when all were delivered; the error of deliver; ctx's error; ErrNoKey or shoal.ErrInvalid for wants that
// cannot be met, before anything is asked for; ErrStopped when Run has ended. Blocks that nobody has are waited for.
func (x *Exchange) Fetch(ctx context.Context, wants []Want, deliver func(w Want, plaintext []byte) error) error {
	return x.fetch(ctx, wants, func(w Want, h *held) error { return deliver(w, h.data) })
}

// FetchSealed is Fetch for a keeper: it hands over sealed blocks as they came, and from whom; and reference nodes, checked against
// their hash.
func (x *Exchange) FetchSealed(ctx context.Context, wants []Want, deliver func(w Want, from shoal.DeviceID, sealed []byte) error) error {
	if x.cfg.Keeper == nil {
		return fmt.Errorf("fetch of sealed blocks by a device: %w", shoal.ErrInvalid)
	}
	return x.fetch(ctx, wants, func(w Want, h *held) error { return deliver(w, h.from, h.data) })
}

func (x *Exchange) fetch(ctx context.Context, wants []Want, deliver func(w Want, h *held) error) error {
	f := &fetch{wants: make(map[Key]Want, len(wants)), wakeup: make(chan struct{}, 1)}
	distinct := make([]Want, 0, len(wants))
	for _, w := range wants {
		if err := x.check(w); err != nil {
			return err
		}
		if _, twice := f.wants[w.Key()]; !twice {
			f.wants[w.Key()] = w
			distinct = append(distinct, w)
		}
	}
	if len(distinct) == 0 {
		return nil
	}
	distinct, err := x.shuffle(distinct)
	if err != nil {
		return err
	}
	x.begin(f, distinct)
	defer x.end(f)
	for {
		h, left, err := x.next(ctx, f)
		if err != nil || left == 0 {
			return err
		}
		err = deliver(f.wants[h.key], h)
		x.consumed(f, h, err == nil)
		if err != nil {
			return err
		}
	}
}

// shuffleRun is how many blocks stay together when a Fetch is shuffled: about 4 MiB of a big file, so that disks still read and
// write in long pieces.
const shuffleRun = 16

// shuffle puts the runs of a long Fetch in a random order. Devices that fetch the same at the same time thus soon have different
// blocks to give each other, and whoever had them first need not send each block to everybody.
func (x *Exchange) shuffle(wants []Want) ([]Want, error) {
	if len(wants) <= 2*shuffleRun {
		return wants, nil
	}
	var seed [32]byte
	if _, err := io.ReadFull(x.cfg.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("choose an order: %w", err)
	}
	runs := slices.Collect(slices.Chunk(wants, shuffleRun))
	rand.New(rand.NewChaCha8(seed)).Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
	return slices.Concat(runs...), nil
}

func (x *Exchange) check(w Want) error {
	if err := w.Validate(); err != nil {
		return err
	}
	if x.cfg.Keeper != nil {
		return nil
	}
	if w.Size == 0 || w.Node {
		return fmt.Errorf("want of a device without a size: %w", shoal.ErrInvalid)
	}
	keys := x.cfg.Keys(w.Folder)
	if keys == nil {
		return fmt.Errorf("fetch from folder %s: %w", w.Folder, ErrNoKey)
	}
	if _, ok := keys.Epoch(w.Epoch); !ok {
		return fmt.Errorf("fetch from folder %s, epoch %s: %w", w.Folder, w.Epoch, ErrNoKey)
	}
	return nil
}

func (x *Exchange) begin(f *fetch, wants []Want) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lastID++
	f.id = x.lastID
	x.fetches[f.id] = f
	for _, w := range wants {
		x.count(w, 1)
	}
	x.stepLocked(Wanted{Group: f.id, Wants: wants})
}

// count adds a want to, or takes it from, what is still wanted. Called with x.mu held.
func (x *Exchange) count(w Want, n int) *Progress {
	p := x.progress[w.Folder]
	if p == nil {
		p = new(Progress)
		x.progress[w.Folder] = p
	}
	p.Blocks += n
	p.Bytes += int64(n) * int64(w.Size)
	return p
}

// next waits for the next block. left is the number of blocks that are still to be delivered, it included.
func (x *Exchange) next(ctx context.Context, f *fetch) (h *held, left int, err error) {
	for {
		x.mu.Lock()
		left = len(f.wants)
		stopped := x.stopped
		if len(f.queue) > 0 {
			h = f.queue[0]
			f.queue = f.queue[1:]
		}
		x.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			x.release(h)
			return nil, left, context.Cause(ctx)
		case h != nil || left == 0:
			return h, left, nil
		case stopped:
			return nil, left, ErrStopped
		}
		select {
		case <-f.wakeup:
		case <-ctx.Done():
		}
	}
}

// consumed notes that deliver has returned.
func (x *Exchange) consumed(f *fetch, h *held, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	w := f.wants[h.key]
	delete(f.wants, h.key)
	p := x.count(w, -1)
	if ok {
		p.Fetched += int64(w.Size)
	}
	x.releaseLocked(h)
}

// end takes f out of everything, whatever it was doing.
func (x *Exchange) end(f *fetch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.fetches, f.id)
	for _, h := range f.queue {
		x.releaseLocked(h)
	}
	f.queue = nil
	for _, w := range f.wants {
		x.count(w, -1)
	}
	x.stepLocked(Cancelled{Group: f.id})
}

// deliver puts a block in the queues of those who want it. Called with x.mu held.
func (x *Exchange) deliver(a Deliver) {
	h := x.held[a.Key]
	if h == nil {
		h = x.arriving
		x.held[a.Key] = h
	}
	for _, id := range a.Groups {
		if f := x.fetches[id]; f != nil {
			h.users++
			f.queue = append(f.queue, h)
			f.poke()
		}
	}
}

func (x *Exchange) release(h *held) {
	if h == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.releaseLocked(h)
}

func (x *Exchange) releaseLocked(h *held) {
	h.users--
	if h.users == 0 {
		delete(x.held, h.key)
		data := h.data
		h.data = nil
		plainBuffers.put(data)
		x.stepLocked(Delivered{Key: h.key})
	}
}

// arrived takes in a block that was opened.
func (x *Exchange) arrived(dev shoal.DeviceID, k Key, plaintext []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.arriving = &held{key: k, data: plaintext, from: dev}
	x.stepLocked(Got{Peer: dev, Key: k})
	x.arriving = nil
}
