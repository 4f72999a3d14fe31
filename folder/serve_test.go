package folder_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// What a device has fetched, others may fetch from it from then on: while the file is made durable and put in its place, too. Who is told that a block
// is not here waits for seconds before it asks again.
func TestFetchedBlocksAreServedUntilTheirFileIsInItsPlace(t *testing.T) {
	for name, old := range map[string]string{"new": "", "replaced": "what was there before"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, disktest.Options{}, disktest.Options{})
			a, b := w.devices[0], w.devices[1]
			if old != "" {
				w.must(a.fs.User().WriteFile("big", old))
				w.meet()
			}
			content := make([]byte, 2<<20)
			_, _ = rand.NewChaCha8([32]byte{7}).Read(content)
			w.must(a.fs.User().WriteFile("big", string(content)))
			w.tick(70e9)
			a.look()
			w.exchange()

			plan, err := b.eng.Plan(t.Context(), "")
			w.must(err)
			var wants []folder.Want
			for _, j := range plan.Jobs {
				wants, err = j.Begin(t.Context())
				w.must(err)
				b.assemble(t.Context(), j)
			}
			if len(wants) < 2 {
				t.Fatalf("the file has %d blocks: too few for this test", len(wants))
			}
			plan, err = b.eng.Plan(t.Context(), "")
			w.must(err)
			asked, buf := 0, make([]byte, block.MaxSize)
			b.fs.Fail = func(op, p string) error {
				fail := b.fs.Fail
				b.fs.Fail = nil // asking reads the disk, too
				defer func() { b.fs.Fail = fail }()
				for _, want := range wants {
					if _, err := b.eng.Block(t.Context(), want, buf); err != nil {
						t.Errorf("before %s of %s: %v", op, p, err)
					}
				}
				asked++
				return nil
			}
			n, err := b.eng.Apply(t.Context(), plan)
			w.must(err)
			if b.fs.Fail = nil; n != 1 || asked < 5 {
				t.Errorf("%d contents were put in their place, and %d operations of the disk were looked at", n, asked)
			}
		})
	}
}

// The size in a request is the asker's word.
func TestABlockOfAnotherSizeIsNotThere(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	a, b := w.devices[0], w.devices[1]
	content := make([]byte, 2<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content)
	w.must(a.fs.User().WriteFile("big", string(content)))
	w.tick(70e9)
	a.look()
	w.exchange()
	plan, err := b.eng.Plan(t.Context(), "")
	w.must(err)
	wants, err := plan.Jobs[0].Begin(t.Context())
	w.must(err)
	data, err := b.ask(t.Context(), wants[0])
	w.must(err)
	w.must(plan.Jobs[0].Deliver(wants[0], data))
	for _, d := range w.devices { // one has the file, the other a part of it
		if got, err := d.eng.Block(t.Context(), wants[0], make([]byte, wants[0].Size)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the block is not served: %v", err)
		}
		for _, size := range []uint32{1, wants[0].Size - 1, wants[0].Size + 1} {
			wrong := wants[0]
			wrong.Size = size
			if _, err := d.eng.Block(t.Context(), wrong, make([]byte, size)); !errors.Is(err, folder.ErrAbsent) {
				t.Errorf("asked for with a size of %d bytes for %d, the block is served: %v", size, wants[0].Size, err)
			}
		}
	}
}

// A block may be asked for at the moment at which it is neither in a job any more nor, for who looked before, in the index. Who was told so then must be
// told again.
func TestWhatCameIsToldOnceItIsInItsPlace(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	a, b := w.devices[0], w.devices[1]
	w.must(a.fs.User().WriteFile("first", "one block"))
	w.tick(70e9)
	a.look()
	w.exchange()
	told := map[block.ID]bool{}
	b.holds = func(ids []block.ID) {
		for _, id := range ids {
			told[id] = true
			if _, err := b.eng.Block(t.Context(), folder.Want{Block: id, Size: uint32(len("one block"))}, make([]byte, block.MaxSize)); err != nil {
				t.Errorf("block %s was told of and is not served: %v", id.Short(), err)
			}
		}
	}
	b.work()
	if len(told) != 1 {
		t.Errorf("a file of one block came, and %d blocks were told of", len(told))
	}
}
