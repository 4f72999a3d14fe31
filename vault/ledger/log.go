package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/s3store"
)

// Errors of a Log, besides those of the bucket.
var (
	// ErrDamaged: what lies in the bucket is not what was put there.
	ErrDamaged = errors.New("the ledger in the bucket is damaged")
	// ErrBehind: entries after the position are covered by a checkpoint, and may be gone: the position is of no use any more.
	ErrBehind = errors.New("a checkpoint covers what follows")
)

// Objects is where the ledger lies; *s3store.Objects is one.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, s3store.Etag, error)
	PutIf(ctx context.Context, key string, data []byte, condition s3store.Etag) (s3store.Etag, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix, after string) ([]s3store.Object, error)
}

// Position is how far a ledger was read.
type Position struct {
	Number uint32
	Chain  Hash
}

// Log is the ledger of one mesh. Its methods are safe for concurrent use.
type Log struct {
	mesh    shoal.MeshID
	under   string // first part of all keys, with its slash
	objects Objects
	random  io.Reader
}

// Open returns the ledger of a mesh, and makes it if there is none.
func Open(ctx context.Context, mesh shoal.MeshID, objects Objects, random io.Reader) (*Log, error) {
	l := &Log{mesh: mesh, under: "meshes/" + hex.EncodeToString(mesh[:]) + "/", objects: objects, random: random}
	if _, _, err := l.Anchor(ctx); !errors.Is(err, s3store.ErrNotFound) {
		return l, err
	}
	// Where there are entries and no anchor, something was lost.
	there, err := objects.List(ctx, l.under+"ledger/", "")
	if err != nil {
		return nil, err
	}
	if len(there) == 0 {
		a := &Anchor{Mesh: mesh, Chain: Genesis(mesh)}
		if err := l.nonce(a.Nonce[:]); err != nil {
			return nil, err
		}
		if _, err := objects.PutIf(ctx, l.under+"anchor", a.Encode(), s3store.Absent); err != nil && !errors.Is(err, s3store.ErrChanged) {
			return nil, err
		}
	}
	if _, _, err := l.Anchor(ctx); err != nil { // another process may have been first
		if errors.Is(err, s3store.ErrNotFound) {
			err = fmt.Errorf("there are entries, but no anchor: %w", ErrDamaged)
		}
		return nil, err
	}
	return l, nil
}

func (l *Log) nonce(p []byte) error {
	if _, err := io.ReadFull(l.random, p); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	return nil
}

// Start is the position before the first entry.
func (l *Log) Start() Position { return Position{Chain: Genesis(l.mesh)} }

// twice calls fn again if what it got does not decode: it may have been damaged on its way.
func twice(fn func() error) error {
	err := fn()
	if errors.Is(err, ErrMalformed) {
		err = fn()
	}
	if errors.Is(err, ErrMalformed) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// Anchor returns the anchor and its etag.
func (l *Log) Anchor(ctx context.Context) (a *Anchor, etag s3store.Etag, err error) {
	err = twice(func() error {
		raw, tag, err := l.objects.Get(ctx, l.under+"anchor")
		if err != nil {
			return err
		}
		etag = tag
		if a, err = DecodeAnchor(raw); err == nil && a.Mesh != l.mesh {
			err = fmt.Errorf("anchor of another mesh: %w", ErrMalformed)
		}
		return err
	})
	return a, etag, err
}

// SetAnchor puts a new checkpoint into the place of the one that an etag names. Error: s3store.ErrChanged: another was first.
func (l *Log) SetAnchor(ctx context.Context, a *Anchor, was s3store.Etag) error {
	if err := l.nonce(a.Nonce[:]); err != nil {
		return err
	}
	if err := a.Validate(); err != nil {
		return err
	}
	_, err := l.objects.PutIf(ctx, l.under+"anchor", a.Encode(), was)
	return err
}

func (l *Log) entryKey(n uint32) string { return fmt.Sprintf("%sledger/%08x", l.under, n) }

// Link is an entry that was read, and the position after it. Entry is nil if it is void.
type Link struct {
	Entry *Entry
	After Position
}

// Read returns up to max entries after a position; fewer: there are no more. Errors: ErrBehind; ErrDamaged; those of the bucket.
func (l *Log) Read(ctx context.Context, at Position, max int) ([]Link, error) {
	var links []Link
	from := at
	for len(links) < max {
		link, err := l.next(ctx, at)
		if errors.Is(err, s3store.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		links = append(links, link)
		at = link.After
	}
	// What was read counts only now: entries that a checkpoint covers may have been removed, and others written under their numbers.
	a, _, err := l.Anchor(ctx)
	if err != nil {
		return nil, err
	}
	return links, compare(a, from, links)
}

// compare holds what was read against a checkpoint.
func compare(a *Anchor, from Position, links []Link) error {
	if a.Number < from.Number || a.Number == from.Number && a.Chain == from.Chain {
		return nil // what the anchor covers was compared when it was read
	}
	if n := int64(a.Number) - int64(from.Number); n > 0 && n <= int64(len(links)) && links[n-1].After.Chain == a.Chain {
		return nil
	}
	return ErrBehind
}

func (l *Log) next(ctx context.Context, at Position) (link Link, err error) {
	err = twice(func() error {
		raw, _, err := l.objects.Get(ctx, l.entryKey(at.Number+1))
		if err != nil {
			return err
		}
		e, err := DecodeEntry(raw)
		if err == nil && (e.Mesh != l.mesh || e.Number != at.Number+1) {
			err = fmt.Errorf("entry %d of mesh %s: %w", e.Number, e.Mesh, ErrMalformed)
		}
		if err != nil {
			return err
		}
		link = Link{Entry: e, After: Position{Number: e.Number, Chain: Next(at.Chain, raw)}}
		if e.Before != at.Chain {
			link.Entry = nil // its author had read what a checkpoint had replaced
		}
		return nil
	})
	if err != nil && !errors.Is(err, s3store.ErrNotFound) {
		err = fmt.Errorf("entry %d: %w", at.Number+1, err)
	}
	return link, err
}

// Append writes an entry after a position, and returns the position after it. ok is false if another entry came first, or this one came too late to count: read, and decide
// anew. After an error nobody knows whether the entry counts; the next Read tells.
func (l *Log) Append(ctx context.Context, at Position, e *Entry) (after Position, ok bool, err error) {
	if at.Number == 1<<32-1 {
		return at, false, errors.New("the ledger is full")
	}
	e.Mesh, e.Number, e.Before = l.mesh, at.Number+1, at.Chain
	if err := l.nonce(e.Nonce[:]); err != nil {
		return at, false, err
	}
	if err := e.Validate(); err != nil {
		return at, false, err
	}
	raw := e.Encode()
	if len(raw) > MaxEntry {
		return at, false, fmt.Errorf("entry of %d bytes: %w", len(raw), ErrMalformed)
	}
	_, err = l.objects.PutIf(ctx, l.entryKey(e.Number), raw, s3store.Absent)
	if errors.Is(err, s3store.ErrChanged) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	a, _, err := l.Anchor(ctx)
	if err != nil {
		return at, false, err
	}
	if compare(a, at, nil) != nil {
		return at, false, nil // the number may have been free because the true entry was removed
	}
	return Position{Number: e.Number, Chain: Next(at.Chain, raw)}, true, nil
}

func (l *Log) partKey(n Name) string { return l.under + "parts/" + hex.EncodeToString(n[:]) }

// PutPart writes a part and returns what names it.
func (l *Log) PutPart(ctx context.Context, data []byte) (PartRef, error) {
	ref := PartRef{Size: uint32(len(data)), Hash: blake3.Sum256(data)}
	if err := l.nonce(ref.Name[:]); err != nil {
		return ref, err
	}
	if len(data) == 0 || len(data) > MaxPart {
		return ref, fmt.Errorf("part of %d bytes: %w", len(data), ErrMalformed)
	}
	_, err := l.objects.PutIf(ctx, l.partKey(ref.Name), data, s3store.Absent)
	return ref, err
}

// Part reads a part. Errors: s3store.ErrNotFound: a newer checkpoint took its place; ErrDamaged.
func (l *Log) Part(ctx context.Context, ref PartRef) (data []byte, err error) {
	err = twice(func() error {
		if data, _, err = l.objects.Get(ctx, l.partKey(ref.Name)); err != nil {
			return err
		}
		if len(data) != int(ref.Size) || Hash(blake3.Sum256(data)) != ref.Hash {
			return fmt.Errorf("part %x: %w", ref.Name, ErrMalformed)
		}
		return nil
	})
	return data, err
}

// keepEntries is how many entries before a checkpoint stay, for processes that are a little behind.
const keepEntries = 64

// RemoveCovered removes what a checkpoint at an entry takes the place of: the parts of the checkpoint before it, and old entries with their parts. What is left over, because a
// process died in between, a later call removes, but for parts that nothing names.
func (l *Log) RemoveCovered(ctx context.Context, before *Anchor, number uint32) error {
	if err := l.RemoveParts(ctx, before.Parts); err != nil {
		return err
	}
	for after := ""; ; {
		page, err := l.objects.List(ctx, l.under+"ledger/", after)
		if err != nil {
			return err
		}
		for _, o := range page {
			n, err := strconv.ParseUint(o.Key[len(l.under+"ledger/"):], 16, 32)
			if err != nil || n+keepEntries > uint64(number) {
				return nil
			}
			if err := l.removeEntry(ctx, uint32(n)); err != nil {
				return err
			}
			after = o.Key
		}
		if len(page) < s3store.MaxList {
			return nil
		}
	}
}

func (l *Log) removeEntry(ctx context.Context, n uint32) error {
	raw, _, err := l.objects.Get(ctx, l.entryKey(n))
	if errors.Is(err, s3store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if e, err := DecodeEntry(raw); err == nil {
		for i := range e.Transfers {
			if err := l.RemoveParts(ctx, e.Transfers[i].Parts); err != nil {
				return err
			}
		}
	}
	return l.objects.Delete(ctx, l.entryKey(n))
}
