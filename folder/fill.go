package folder

import (
	"context"
	"sync"

	"github.com/shoalmesh/shoal/block"
)

// fillFromDisk takes every missing block that some file here holds, or that came along with its record. What is read is checked. When workers allow it,
// a long file is read by a goroutine of its own, which has ended when fillFromDisk returns.
func (j *Job) fillFromDisk(ctx context.Context) error {
	var refs []block.Ref
	for _, i := range j.lacking() {
		refs = append(refs, j.recipe[i])
	}
	if j.e.Workers <= 1 || j.want.Size < longFile {
		return j.e.findBlocks(ctx, refs, j.putFound)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	blocks := make(chan foundBlock, 1)
	var finder sync.WaitGroup
	var unfinished error
	finder.Go(func() {
		defer close(blocks)
		unfinished = j.e.findBlocks(ctx, refs, func(b foundBlock) error {
			blocks <- b // always taken
			return nil
		})
	})
	var err error
	for b := range blocks {
		if err != nil {
			chunkBuffers.Put(b.buf)
		} else if err = j.putFound(b); err != nil {
			stop()
		}
	}
	finder.Wait()
	if err != nil {
		return err
	}
	return unfinished
}

// putFound is put for a block that findBlocks found.
func (j *Job) putFound(b foundBlock) error {
	defer chunkBuffers.Put(b.buf)
	return j.put(b.id, b.data)
}

// foundBlock is a block that is on this disk. Its data may share buf, which is of chunkBuffers.
type foundBlock struct {
	id   block.ID
	data []byte
	buf  *[]byte
}

// findBlocks gives those of refs that are on this disk, checked, to take, which has to put their buffers back.
func (e *Engine) findBlocks(ctx context.Context, refs []block.Ref, take func(foundBlock) error) error {
	for _, ref := range refs {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf := chunkBuffers.Get().(*[]byte)
		data, ok := e.localBlock(ref, *buf)
		if !ok {
			chunkBuffers.Put(buf)
			continue
		}
		if err := take(foundBlock{ref.ID, data, buf}); err != nil {
			return err
		}
	}
	return nil
}
