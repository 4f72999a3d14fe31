package folder

import (
	"context"
	"sync"

	"github.com/shoalmesh/shoal/block"
)

// fillBeside is the size, in bytes, from which a file is read by one goroutine and written by another.
const fillBeside = 4 << 20

// fillFromDisk takes every missing block that some file here holds, or that came along with its record. What is read is checked.
func (j *Job) fillFromDisk(ctx context.Context, buf []byte) error {
	if j.e.Workers > 1 && j.want.Size >= fillBeside {
		return j.fillBeside(ctx)
	}
	for _, i := range j.lacking() {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, ok := j.e.localBlock(j.recipe[i], buf)
		if !ok {
			continue
		}
		if err := j.put(j.recipe[i].ID, data); err != nil {
			return err
		}
	}
	return nil
}

// lacking returns the first place of each missing block, in the order of the file.
func (j *Job) lacking() []int {
	out := make([]int, 0, len(j.missing))
	for i, ref := range j.recipe {
		if at := j.missing[ref.ID]; len(at) > 0 && at[0] == i {
			out = append(out, i)
		}
	}
	return out
}

// found is a block that is on this disk, in a buffer of chunkBuffers or elsewhere.
type found struct {
	id   block.ID
	data []byte
	buf  *[]byte
}

// fillBeside is fillFromDisk with the blocks read and checked by a goroutine of its own, which has ended when it returns.
func (j *Job) fillBeside(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	blocks := make(chan found, 2)
	lacking, recipe := j.lacking(), j.recipe
	var finder sync.WaitGroup
	finder.Go(func() {
		defer close(blocks)
		for _, i := range lacking {
			if ctx.Err() != nil {
				return
			}
			ref := recipe[i]
			buf := chunkBuffers.Get().(*[]byte)
			data, ok := j.e.localBlock(ref, *buf)
			if !ok {
				chunkBuffers.Put(buf)
				continue
			}
			blocks <- found{ref.ID, data, buf} // always taken
		}
	})
	var err error
	for b := range blocks {
		if err == nil {
			if err = j.put(b.id, b.data); err != nil {
				stop()
			}
		}
		chunkBuffers.Put(b.buf)
	}
	finder.Wait()
	if err != nil {
		return err
	}
	return ctx.Err()
}
