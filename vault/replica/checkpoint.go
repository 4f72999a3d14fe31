package replica

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// checkpointEvery is how many entries a process that starts with nothing reads at most, about.
const checkpointEvery = 512

// A checkpoint is a stream: the number of statements of the roster, 4 bytes; each behind its length, 4 bytes; then the database file, in which a note says how far it goes.

// checkpointIfDue makes a checkpoint when there are many entries since the last. That another does it, or that it fails, is no error.
func (r *Replica) checkpointIfDue(ctx context.Context) error {
	if r.now().at.Number < r.checkAt {
		return nil
	}
	a, _, err := r.cfg.Ledger.Anchor(ctx)
	if err != nil {
		return err
	}
	r.checkAt = max(a.Number+checkpointEvery, r.now().at.Number+checkpointEvery/8)
	if r.now().at.Number < a.Number+checkpointEvery || r.cfg.Lease == nil {
		return nil
	}
	release, err := r.cfg.Lease(ctx)
	if err != nil {
		return nil
	}
	defer release()
	if err := r.Checkpoint(ctx); err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("make a checkpoint", "err", err)
	}
	return nil
}

// Checkpoint writes what the ledger comes to, and removes the entries that it takes the place of.
func (r *Replica) Checkpoint(ctx context.Context) (err error) {
	file, err := os.CreateTemp(r.cfg.Temp, "checkpoint-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	old, etag, err := r.cfg.Ledger.Anchor(ctx)
	if err != nil {
		return err
	}
	at, err := r.snapshot(ctx, file)
	if err != nil || at.Number <= old.Number {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	w := r.cfg.Ledger.NewPartWriter(ctx)
	if _, err := io.Copy(w, file); err != nil {
		return errors.Join(err, w.Drop(context.WithoutCancel(ctx)))
	}
	parts, err := w.Finish()
	if err != nil {
		return errors.Join(err, w.Drop(context.WithoutCancel(ctx)))
	}
	err = r.cfg.Ledger.SetAnchor(ctx, &ledger.Anchor{Mesh: old.Mesh, Number: at.Number, Chain: at.Chain, Parts: parts}, etag)
	if errors.Is(err, s3store.ErrChanged) {
		return w.Drop(ctx) // another was faster
	}
	if err != nil {
		return err // nobody knows which anchor counts: the parts stay
	}
	return r.cfg.Ledger.RemoveCovered(ctx, old, at.Number)
}

// snapshot writes the stream of a checkpoint to a file, and returns how far it goes.
func (r *Replica) snapshot(ctx context.Context, file io.Writer) (ledger.Position, error) {
	if err := r.lock(ctx); err != nil {
		return ledger.Position{}, err
	}
	defer r.unlock()
	out := bufio.NewWriter(file)
	statements := r.cfg.Roster.Since(nil)
	_, _ = out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(statements)))) // Flush tells
	for _, raw := range statements {
		_, _ = out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw))))
		_, _ = out.Write(raw)
	}
	if err := out.Flush(); err != nil {
		return ledger.Position{}, err
	}
	// The note that is in the file is at most as new as what is in it, since nothing is applied or told now.
	_, err := r.cfg.DB.WriteTo(file)
	return r.state.at, err
}

// Load writes the database of the newest checkpoint to path, where nothing is, and hands the roster's statements to add, some at a time. found is false if there is
// no checkpoint: everything is in entries.
func Load(ctx context.Context, l *ledger.Log, path string, add func([][]byte) error) (found bool, err error) {
	for again := 0; ; again++ {
		a, _, err := l.Anchor(ctx)
		if err != nil || a.Number == 0 {
			return false, err
		}
		err = load(l.NewPartReader(ctx, a.Parts), path, add)
		if errors.Is(err, s3store.ErrNotFound) && again < 5 {
			continue // a newer one took its place
		}
		if err != nil {
			return false, fmt.Errorf("load the checkpoint at entry %d: %w", a.Number, err)
		}
		return true, nil
	}
}

// maxStatements bounds the statements of a checkpoint; a roster has fewer.
const maxStatements = 1 << 20

func load(stream io.Reader, path string, add func([][]byte) error) (err error) {
	in := bufio.NewReaderSize(stream, 1<<20)
	if err := loadStatements(in, add); err != nil {
		return err
	}
	return writeFile(path, in)
}

// loadStatements reads the beginning of the stream.
func loadStatements(in io.Reader, add func([][]byte) error) error {
	var n [4]byte
	if _, err := io.ReadFull(in, n[:]); err != nil {
		return err
	}
	count := binary.BigEndian.Uint32(n[:])
	if count > maxStatements {
		return fmt.Errorf("%d statements: %w", count, ledger.ErrDamaged)
	}
	var some [][]byte
	for range count {
		if _, err := io.ReadFull(in, n[:]); err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(n[:])
		if size > ledger.MaxStatement {
			return fmt.Errorf("statement of %d bytes: %w", size, ledger.ErrDamaged)
		}
		raw := make([]byte, size)
		if _, err := io.ReadFull(in, raw); err != nil {
			return err
		}
		if some = append(some, raw); len(some) == 256 {
			if err := add(some); err != nil {
				return err
			}
			some = nil
		}
	}
	return add(some)
}

// writeFile makes the file whole and durable, or leaves none under that name.
func writeFile(path string, in io.Reader) (err error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}

// Statements hands the roster's statements of a ledger to add, in order, some at a time, for a process that has no roster yet.
func Statements(ctx context.Context, l *ledger.Log, add func([][]byte) error) error {
	a, _, err := l.Anchor(ctx)
	if err != nil {
		return err
	}
	at := l.Start()
	if a.Number > 0 {
		at = ledger.Position{Number: a.Number, Chain: a.Chain}
		if err := loadStatements(bufio.NewReader(l.NewPartReader(ctx, a.Parts)), add); err != nil {
			return fmt.Errorf("read the checkpoint at entry %d: %w", a.Number, err)
		}
	}
	for {
		links, err := l.Read(ctx, at, readPage)
		if err != nil {
			return err
		}
		for _, link := range links {
			at = link.After
			if link.Entry != nil && len(link.Entry.Statements) > 0 {
				if err := add(link.Entry.Statements); err != nil {
					return err
				}
			}
		}
		if len(links) < readPage {
			return nil
		}
	}
}
