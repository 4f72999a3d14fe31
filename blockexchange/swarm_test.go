package blockexchange

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal/block"
)

// uplink is a Source whose blocks leave one after the other, each in the same time.
type uplink struct {
	*memorySource
	line  chan struct{} // depth 1; a mutex would hold up the bubble's time
	each  time.Duration
	count atomic.Int64
}

func (u *uplink) Block(ctx context.Context, w Want, buf []byte) ([]byte, error) {
	b, err := u.memorySource.Block(ctx, w, buf)
	if err != nil {
		return nil, err
	}
	u.line <- struct{}{}
	defer func() { <-u.line }()
	time.Sleep(u.each) // in the bubble's time
	u.count.Add(1)
	return b, nil
}

// TestReceiversFeedEachOther has two devices fetch the same from a third over its slow line. Since each has
// its own order, each gets a good part from the other, and the third does not send everything twice. Orders are drawn: half of
// 1,000 runs had it send 1,049 blocks and less, one of them more than 1,400, so that the middle one of three counts.
func TestReceiversFeedEachOther(t *testing.T) {
	outside := newBench(t)
	var sent []int64
	for range 3 {
		sent = append(sent, sentToTwo(t, outside))
	}
	if slices.Sort(sent); sent[1] > 1400 {
		t.Errorf("1,000 blocks for two devices: the source sent %d", sent)
	}
}

// sentToTwo is how many blocks the third device sent until two had 1,000 each.
func sentToTwo(t *testing.T, outside *bench) (sent int64) {
	synctest.Test(t, func(t *testing.T) {
		b := outside.inside(t)
		blocks, wants := b.blocks(1000, 1000)
		src := &uplink{memorySource: newMemorySource(), each: 10 * time.Millisecond, line: make(chan struct{}, 1)}
		for id, data := range blocks {
			src.put(id, data)
		}
		b.device(1, src)
		var results []chan error
		var xs []*Exchange
		libs := []*memorySource{newMemorySource(), newMemorySource()}
		for i := range 2 {
			x, _ := b.device(i+2, libs[i])
			xs = append(xs, x)
		}
		for i, x := range xs {
			x.PeerUp(device(1), CostLAN)
			x.PeerUp(device(3-i), CostLAN)
			done := make(chan error, 1)
			results = append(results, done)
			go func() {
				done <- x.Fetch(t.Context(), wants, func(w Want, plaintext []byte) error {
					libs[i].put(w.Block, append([]byte(nil), plaintext...))
					x.NowHave(b.folder, []block.ID{w.Block})
					return nil
				})
			}()
		}
		for _, done := range results {
			must(t, <-done)
		}
		sent = src.count.Load()
	})
	return sent
}
