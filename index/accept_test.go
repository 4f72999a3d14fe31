package index

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
)

func TestAcceptRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *scribe, b *Batch)
		want  error
	}{
		"AHeadOfAnotherSignature": {func(s *scribe, b *Batch) { b.Head = bytes.Clone(b.Head); b.Head[len(b.Head)-1] ^= 1 }, ErrForged},
		"AHeadOfAnotherFolder":    {func(s *scribe, b *Batch) { b.Head = s.sign(func(h *Head) { h.Folder[0] ^= 1 }) }, ErrForged},
		"AHeadOfAnotherMesh":      {func(s *scribe, b *Batch) { b.Head = s.sign(func(h *Head) { h.Mesh[0] ^= 1 }) }, ErrForged},
		"AHeadOfAnotherJournal":   {func(s *scribe, b *Batch) { b.Head = s.sign(func(h *Head) { h.Journal.Nonce++ }) }, ErrForged},
		"AWrongDigest":            {func(s *scribe, b *Batch) { b.Head = s.sign(func(h *Head) { h.Buckets[0] ^= 1 }) }, ErrMismatch},
		"AWrongCount":             {func(s *scribe, b *Batch) { b.Head = s.sign(func(h *Head) { h.Count-- }) }, ErrMismatch},
		"AnOmittedRecord":         {func(s *scribe, b *Batch) { b.Records = b.Records[1:] }, ErrMismatch},
		"AnAlteredRecord": {func(s *scribe, b *Batch) {
			r := bytes.Clone(b.Records[1])
			r[len(r)-1] ^= 1
			b.Records[1] = r
		}, ErrMismatch},
		"RecordsOutOfOrder":     {func(s *scribe, b *Batch) { slices.Reverse(b.Records) }, ErrMalformed},
		"ARecordTwice":          {func(s *scribe, b *Batch) { b.Records = append(b.Records[:1:1], b.Records...) }, ErrMalformed},
		"WhatIsNoRecord":        {func(s *scribe, b *Batch) { b.Records[0] = []byte("no record") }, ErrMalformed},
		"AHugeRecord":           {func(s *scribe, b *Batch) { b.Records[0] = make([]byte, MaxRecordBytes+1) }, ErrMalformed},
		"AnotherEndThanTheHead": {func(s *scribe, b *Batch) { b.To-- }, ErrMalformed},
		"AGap":                  {func(s *scribe, b *Batch) { b.From = 1 }, ErrGap},
		"ARecordAboveTheHead":   {func(s *scribe, b *Batch) { s.write(s.d.file("more", "more"), 0); b.Records = s.batch(0).Records }, ErrMismatch},
		"AHeadInsideACommit": {func(s *scribe, b *Batch) {
			e := s.d.file("x", "four")
			e.Time = 9
			c := s.clear(&e, 0)
			c.more = true
			s.add(0, s.seal(c, encodeEntry(&e, s.id)))
			*b = s.batch(0)
		}, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			a, b := w.devices[0], w.devices[1]
			s := newScribe(a, 1)
			for _, p := range []shoal.Path{"p", "q", "r"} {
				s.write(a.file(p, string(p)), 0)
			}
			batch := s.batch(0)
			c.spoil(s, &batch)
			if _, err := b.accept(batch); !errors.Is(err, c.want) {
				t.Errorf("error: %v, want %v", err, c.want)
			}
			if len(b.frontier()) != 0 || b.desired("p") != nil {
				t.Error("something of the batch was kept")
			}
			b.check()
		})
	}
}

func TestAcceptRefusesDevicesOutsideTheMesh(t *testing.T) {
	w := newWorld(t, "a", "b")
	other := newWorld(t, "x", "y", "z").devices[2]
	s := newScribe(w.devices[0], 1)
	s.write(w.devices[0].file("p", "p"), 0)
	s.id.Device = other.id.Device()
	b := s.batch(0)
	b.Head = s.sign()
	h, err := DecodeHead(b.Head)
	if err == nil || h.Seq != 0 {
		t.Errorf("a head signed by another device: %v", err)
	}
	s.d = other
	s.d.world = w
	if _, err := w.devices[1].accept(s.batch(0)); !errors.Is(err, ErrVoid) {
		t.Errorf("error: %v", err)
	}
}

func TestBatchMayBeginBeforeTheFrontier(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	dot := a.write(a.file("x", "one"))[0]
	b.pull(a)
	a.write(a.file("y", "two"))
	if _, err := b.accept(a.batch(dot.Journal, 0)); err != nil {
		t.Fatal(err)
	}
	if b.desired("y") == nil {
		t.Error("y is not here")
	}
	if _, err := b.accept(a.batch(dot.Journal, 0)); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestBatchMayHoldSupersededRecords(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	s := newScribe(a, 1)
	first := s.write(a.file("x", "one"), 0)
	s.write(a.file("x", "two"), 1)
	batch := s.batch(0)
	batch.Records = append([][]byte{first}, batch.Records...)
	if _, err := b.accept(batch); err != nil {
		t.Fatal(err)
	}
	b.check()
}

func TestNewerSignatureOfTheSameHeadIsKept(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	dot := a.write(a.file("x", "one"))[0]
	b.pull(a)
	w.now = w.now.Add(24 * 3600e9)
	a.update(func(tx *Tx) error { return tx.Resign() })
	if _, err := b.accept(a.batch(dot.Journal, dot.Seq)); err != nil {
		t.Fatal(err)
	}
	pos := b.frontier()[dot.Journal]
	if pos.Time != w.now.UnixNano() || !bytes.Equal(pos.Head, a.frontier()[dot.Journal].Head) {
		t.Errorf("head of %d", pos.Time)
	}
	b.check()
}

func TestReadAfterSaysWhenItIsTooMuch(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	dot := a.write(a.file("x", "one"), a.file("y", "two"))[0]
	a.view(func(tx *Tx) error {
		if _, err := tx.ReadAfter(dot.Journal, 0, 400); !errors.Is(err, ErrTooFar) {
			t.Errorf("error: %v", err)
		}
		if b, err := tx.ReadAfter(dot.Journal, 1, 1000); err != nil || len(b.Records) != 1 || b.From != 1 || b.To != 2 {
			t.Errorf("batch %+v: %v", b, err)
		}
		if _, err := tx.ReadAfter(shoal.JournalID{Device: dot.Journal.Device, Nonce: 5}, 0, 1000); !errors.Is(err, ErrNotFound) {
			t.Errorf("unknown journal: %v", err)
		}
		return nil
	})
}

func TestOwnOpenJournalTakesNothingFromOthers(t *testing.T) {
	w := newWorld(t, "a", "b")
	a := w.devices[0]
	id := a.write(a.file("x", "one"))[0].Journal
	s := newScribe(a, id.Nonce)
	s.write(a.file("x", "one"), 0)
	s.write(a.file("y", "two"), 0)
	if _, err := a.accept(s.batch(0)); !errors.Is(err, ErrOwnJournal) {
		t.Errorf("error: %v", err)
	}
	if _, err := a.accept(a.batch(id, 0)); err != nil {
		t.Errorf("its own head back: %v", err)
	}
}

func TestViewChangesNothing(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.write(a.file("x", "one"))
	a.view(func(tx *Tx) error {
		for name, err := range map[string]error{
			"Append":          second(tx.Append([]Entry{a.file("y", "y")})),
			"SetBase":         tx.SetBase("x", nil),
			"OpenJournal":     tx.OpenJournal(),
			"ContinueJournal": tx.ContinueJournal(),
			"MarkShared":      tx.MarkShared(),
			"Resign":          tx.Resign(),
			"ApplyCuts":       second(tx.ApplyCuts()),
			"SetProblem":      tx.SetProblem("x", "k", "m"),
			"ClearFollow":     tx.ClearFollow("x"),
			"SignStatus":      second(tx.SignStatus(Standing{Complete: true})),
		} {
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return nil
	})
}

func second[T any](_ T, err error) error { return err }
