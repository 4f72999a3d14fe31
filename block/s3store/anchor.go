package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

const anchorObject = "anchor"

// readAnchor returns the anchor. It may have been damaged on its way, so it is asked for twice.
func (s *Store) readAnchor(ctx context.Context) (*ledger.Anchor, error) {
	a, _, err := s.readAnchorTag(ctx)
	return a, err
}

// readAnchorTag is readAnchor with its etag.
func (s *Store) readAnchorTag(ctx context.Context) (*ledger.Anchor, bucket.Condition, error) {
	for again := false; ; again = true {
		raw, etag, err := s.bucket.Get(ctx, anchorObject, ledger.MaxAnchor)
		if err != nil {
			return nil, "", err
		}
		a, err := ledger.DecodeAnchor(raw)
		if err == nil && s.index != nil && a.Store != s.index.store {
			err = fmt.Errorf("it belongs to another store: %w", ledger.ErrMalformed)
		}
		if err == nil {
			return a, bucket.Condition(etag), nil
		}
		if again {
			return nil, "", fmt.Errorf("%s: %w: %w", anchorObject, ErrDamaged, err)
		}
	}
}

// findAnchor returns the anchor, and makes a new store if the prefix is empty.
func (s *Store) findAnchor(ctx context.Context) (*ledger.Anchor, error) {
	a, err := s.readAnchor(ctx)
	if !errors.Is(err, bucket.ErrNotFound) {
		return a, err
	}
	// Where there is a ledger and no anchor, something was lost. A new store in its place would be an empty one.
	for _, prefix := range []string{"ledger/", "packs/", "checkpoints/"} {
		items, err := s.bucket.List(ctx, prefix, "")
		if err != nil {
			return nil, err
		}
		if len(items) > 0 {
			return s.lateAnchor(ctx)
		}
	}
	a = &ledger.Anchor{}
	if _, err := io.ReadFull(s.config.Rand, a.Store[:]); err != nil {
		return nil, fmt.Errorf("read store ID: %w", err)
	}
	a.Nonce, a.Chain = a.Store, ledger.Genesis(a.Store)
	if _, err := s.bucket.Put(ctx, anchorObject, a.Encode(), bucket.Absent); err != nil && !errors.Is(err, bucket.ErrChanged) {
		return nil, err
	}
	return s.readAnchor(ctx) // another process may have been first
}

// lateAnchor looks for the anchor again: another process may have made the store between two looks.
func (s *Store) lateAnchor(ctx context.Context) (*ledger.Anchor, error) {
	a, err := s.readAnchor(ctx)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, fmt.Errorf("there are packs or a ledger, but no %s: %w", anchorObject, ErrDamaged)
	}
	return a, err
}

// probe finds out whether the server keeps the conditions of writes, which all else rests on, and whether it lists what was written.
func (s *Store) probe(ctx context.Context) (err error) {
	var nonce [16]byte
	if _, err := io.ReadFull(s.config.Rand, nonce[:]); err != nil {
		return fmt.Errorf("read nonce: %w", err)
	}
	name := fmt.Sprintf("probe/%x", nonce)
	etag, err := s.bucket.Put(ctx, name, nonce[:], bucket.Absent)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.bucket.Delete(context.WithoutCancel(ctx), name)) }()
	for _, c := range []bucket.Condition{bucket.Absent, "00000000000000000000000000000000"} {
		if _, err := s.bucket.Put(ctx, name, []byte("another"), c); err == nil {
			return fmt.Errorf("it overwrites an object although the condition of the write does not hold (If-None-Match, If-Match): %w", ErrUnsupported)
		} else if !errors.Is(err, bucket.ErrChanged) {
			return err
		}
	}
	if _, err := s.bucket.Put(ctx, name, []byte("another"), bucket.Condition(etag)); err != nil {
		return fmt.Errorf("write under a condition that holds: %w", err)
	}
	items, err := s.bucket.List(ctx, name, "")
	if err == nil && len(items) != 1 {
		err = fmt.Errorf("it does not list what was written just now: %w", ErrUnsupported)
	}
	return err
}
