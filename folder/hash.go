package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/index"
)

// clockGranularity is how close to "now" a modification time may be before a second change could hide behind it. Linux stamps files with
// the time of the last timer tick, 1 to 10 ms old; see coarseClock for others.
const clockGranularity = 20 * time.Millisecond

// errChanging: the file was written to while it was read.
var errChanging = errors.New("the file is being written to")

var chunkBuffers = sync.Pool{New: func() any { b := make([]byte, block.MaxSize); return &b }}

// read fills in what s's content is. Errors leave s unchanged.
func (e *Engine) read(ctx context.Context, s *sight) error {
	switch s.stat.Kind {
	case shoal.KindSymlink:
		target, err := e.FS.Readlink(string(s.path))
		if err != nil {
			return err
		}
		s.target, s.content = target, e.Index.SymlinkContent(target)
		return nil
	case shoal.KindFile:
		return e.readFile(ctx, s)
	}
	return nil
}

func (e *Engine) readFile(ctx context.Context, s *sight) error {
	f, err := e.FS.Open(string(s.path))
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := hashFile(ctx, e.Keys, f, before.Size, e.Workers)
	if err != nil {
		return err
	}
	after, err := f.Stat()
	if err != nil {
		return err
	}
	if statOf(before) != statOf(after) || after.Size != r.Size() {
		return fmt.Errorf("read %s: %w", s.path, errChanging)
	}
	after.Name = s.stat.Name
	s.stat, s.recipe, s.content, s.size = after, r, e.Keys.ContentID(r), after.Size
	s.weak = e.mayHide(after, max(after.MTime, after.CTime))
	return nil
}

// longFile is the size, in bytes, from which a file is cut by one goroutine and hashed by another, or read by one and written by another.
const longFile = 4 << 20

// hashFile cuts a file into blocks and names them. When workers allow it, a file of longFile or more takes two of them.
func hashFile(ctx context.Context, k *block.Keys, f io.Reader, size int64, workers int) (block.Recipe, error) {
	var r block.Recipe
	name := func(p piece) {
		r = append(r, block.Ref{ID: k.ID((*p.buf)[:p.size]), Size: uint32(p.size)})
		chunkBuffers.Put(p.buf)
	}
	if workers <= 1 || size < longFile {
		if err := cutFile(ctx, k, f, name); err != nil {
			return nil, err
		}
		return r, nil
	}
	pieces := make(chan piece, 2)
	var namer sync.WaitGroup
	namer.Go(func() {
		for p := range pieces {
			name(p)
		}
	})
	err := cutFile(ctx, k, f, func(p piece) { pieces <- p })
	close(pieces)
	namer.Wait()
	if err != nil {
		return nil, err
	}
	return r, nil
}

// piece is the content of a block in a buffer of chunkBuffers.
type piece struct {
	buf  *[]byte
	size int
}

// cutFile gives each block of a file to take, which has to put its buffer back.
func cutFile(ctx context.Context, k *block.Keys, f io.Reader, take func(piece)) error {
	c := block.NewChunker(f, k.Chunker)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf := chunkBuffers.Get().(*[]byte)
		n, err := c.Next(*buf)
		if err != nil {
			chunkBuffers.Put(buf)
			if err == io.EOF {
				return nil
			}
			return err
		}
		take(piece{buf, n})
	}
}

// readAll reads every sight with e.Workers at a time and returns those that were read, in order. The others are reported,
// and looked at again later when they were changing.
func (e *Engine) readAll(ctx context.Context, sights []*sight) ([]*sight, error) {
	return e.startReading(ctx, sights).wait(ctx)
}

// reading is a group of sights whose files are being read. Who starts one waits for it.
type reading struct {
	e       *Engine
	sights  []*sight
	errs    []error
	workers sync.WaitGroup
}

// startReading begins to read sights, with e.Workers goroutines; with one alone it reads them here and now. Until it is waited for,
// the sights belong to it. The engine goes on meanwhile: reading touches neither its maps nor the index.
func (e *Engine) startReading(ctx context.Context, sights []*sight) *reading {
	r := &reading{e: e, sights: sights, errs: make([]error, len(sights))}
	if e.Workers <= 1 {
		for i, s := range sights {
			r.errs[i] = e.readUnlessRenamed(ctx, s)
		}
		return r
	}
	var next atomic.Int64
	for range min(e.Workers, len(sights)) {
		r.workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(sights)); i = next.Add(1) - 1 {
				r.errs[i] = e.readUnlessRenamed(ctx, sights[i])
			}
		})
	}
	return r
}

// wait returns the sights that were read, as readAll does.
func (r *reading) wait(ctx context.Context) ([]*sight, error) {
	r.workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := r.sights[:0:0]
	for i, s := range r.sights {
		if r.errs[i] == nil {
			r.e.settled(s.path, "unreadable")
			out = append(out, s)
			continue
		}
		r.e.unread(s, r.errs[i])
	}
	return out, nil
}

func (e *Engine) readUnlessRenamed(ctx context.Context, s *sight) error {
	if s.from != "" && s.stat.Kind == shoal.KindFile && !s.unsure {
		s.weak = true // believed for now: the inode, size and time agree
		return nil
	}
	return e.read(ctx, s)
}

// unread decides what becomes of a file that could not be read: one that is being written to, or that has gone, is looked at again; anything else is
// reported and stays as it is, neither recorded nor a deletion.
func (e *Engine) unread(s *sight, err error) {
	switch {
	case errors.Is(err, errChanging):
		e.weak[s.path] = reread{at: e.Now().Add(changingDelay), unread: true}
	case isNotExist(err) || errors.Is(err, disk.ErrNotFile):
		e.weak[s.path] = reread{at: e.Now(), unread: true}
	default:
		e.report(s.path, "unreadable", fmt.Sprintf("%s can't be read: %v. It is kept as it is here and not sent to other devices until it can be read.", s.path, err))
	}
}

// changingDelay is how soon a file that changed while it was read is tried again.
const changingDelay = time.Second

// weakDelay is how soon a file that changed within the clock's granularity is hashed again.
const weakDelay = 2 * time.Second

// statOfSight is the stat signature that goes into the base of a file just read.
func statOfSight(s *sight) index.DiskStat {
	st := statOf(s.stat)
	st.Weak = s.weak
	return st
}
