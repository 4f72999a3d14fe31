package index

import (
	"bytes"
	"testing"

	"github.com/shoalmesh/shoal"
)

func FuzzDecodeEntry(f *testing.F) {
	for _, v := range makeRecordVectors() {
		f.Add([]byte(v.Entry))
	}
	self := shoal.Dot{Journal: testOwn, Seq: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEntry(data, self, &testKeys)
		if err != nil {
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("accepted and invalid: %v", err)
		}
		again, err := decodeEntry(encodeEntry(e, testOwn), self, &testKeys)
		if err != nil || !bytes.Equal(encodeEntry(again, testOwn), encodeEntry(e, testOwn)) {
			t.Fatalf("does not survive encoding: %v", err)
		}
	})
}

func FuzzDecodeClear(f *testing.F) {
	for _, v := range makeRecordVectors() {
		f.Add([]byte(v.Clear))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, canonical, err := decodeClear(data)
		if err == nil && canonical && !bytes.Equal(c.encode(), data) {
			t.Fatal("canonical, and encodes differently")
		}
	})
}

func FuzzOpenRecord(f *testing.F) {
	for _, v := range makeRecordVectors() {
		f.Add([]byte(v.Record))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := sealedWithTestKeys(data)
		c, e, entry, err := openVector(&v)
		if err != nil {
			return
		}
		if again := newSealer(&testEpoch).seal(c.encode(), entry); !bytes.Equal(again, data) || e.Validate() != nil {
			t.Fatal("opens, and does not seal to the same")
		}
	})
}

func sealedWithTestKeys(record []byte) recordVector {
	return recordVector{RecordKey: testEpoch.Record[:], NonceKey: testEpoch.Nonce[:], BlockIDKey: testKeys.BlockID[:], Record: record}
}

func FuzzDecodeHead(f *testing.F) {
	id := testIdentity(f)
	h := Head{Mesh: filled(7), Journal: shoal.JournalID{Device: id.Device(), Nonce: 5}, Seq: 3075, Count: 3}
	f.Add(h.sign(id))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := DecodeHead(data); err == nil && h.Validate() != nil {
			t.Fatal("accepted and invalid")
		}
	})
}

func FuzzDecodeStatus(f *testing.F) {
	w := newWorld(f, "a")
	f.Add(w.devices[0].signStatus(true, Exception{"x", ReasonOwed}))
	a, v := w.devices[0], keeperOf(f, w)
	dot := a.write(a.file("x", "one"))[0]
	a.update(func(tx *Tx) error { return tx.Prove(v.id.Device(), a.blocksOf(dot)) })
	a.prove(v)
	f.Add(a.signStatus(true))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = DecodeStatus(data)
	})
}

// The database's own values must not make the program panic either, whatever the disk made of them.
func FuzzDatabaseValues(f *testing.F) {
	w := newWorld(f, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "one"))
	b.write(b.file("x", "two"))
	a.pull(b)
	a.apply()
	a.view(func(tx *Tx) error {
		for bucket := range bucketCount {
			c := tx.bucket(bucket).Cursor()
			for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
				f.Add(bytes.Clone(v))
			}
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		if row, err := decodeRow(data); err == nil {
			row.encode()
		}
		if s, err := decodeStored(data, 7); err == nil {
			s.encode(7)
		}
		if j, err := decodeJournal(data); err == nil {
			j.encode()
		}
		storedSlotOf(data, 7)
		d := decoder{data: data}
		d.stat(&Base{Kind: shoal.KindFile})
		if d.end() == nil && len(d.data) != 0 {
			t.Fatal("ends before the end")
		}
	})
}

// FuzzHostileMember: a member of the mesh signs whatever it likes. The record is set aside or is a valid entry; either way the database stays sound, every question
// about every path has an answer, and what the member wrote honestly stays.
func FuzzHostileMember(f *testing.F) {
	for _, v := range makeRecordVectors() {
		f.Add([]byte(v.Entry), uint64(0), uint64(0))
	}
	for _, p := range []shoal.Path{"x", "x/y", "../x", ".shoal/x", ""} {
		f.Add(encodeEntry(&Entry{Path: p, Kind: shoal.KindFolder, Mode: 0o755, Time: 7}, testOwn), uint64(0), uint64(1))
		f.Add(encodeEntry(&Entry{Path: p, Kind: shoal.KindTombstone, MovedTo: "x", Time: 7}, testOwn), uint64(1), uint64(0))
	}
	w := newWorld(f, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "one"), a.file("z", "two"))
	a.apply()
	f.Fuzz(func(t *testing.T, entry []byte, slot, seq uint64) {
		w := &world{t: t, now: w.now, chance: w.chance, mesh: w.mesh, folder: w.folder}
		c := &device{world: w, id: a.id, keys: a.keys, state: a.state}
		b := &device{world: w, id: b.id, keys: b.keys, state: b.state}
		c.open(a.db.Clone(Options{Clock: w.clock, Rand: w.chance}))
		s := newScribe(b, 7)
		s.write(b.file("honest", "three"), 0)
		clear := s.clear(&Entry{}, shoal.Slot(slot))
		clear.seq += shoal.Seq(seq)
		s.add(shoal.Slot(slot), s.seal(clear, entry))
		if _, err := c.accept(s.batch(0)); err != nil {
			return // all or nothing
		}
		must(t, c.db.Check(t.Context()))
		honest := false
		c.view(func(tx *Tx) error {
			paths, err := tx.Needs("", 100)
			must(t, err)
			must(t, tx.Walk("", func(r Row) error {
				paths = append(paths, r.Path)
				honest = honest || r.Path == "honest"
				for i := range r.Live {
					must(t, r.Live[i].Entry.Validate())
				}
				return nil
			}))
			for _, p := range paths {
				must(t, p.Validate())
				_, err := tx.Desired(p)
				must(t, err)
				_, err = tx.Resolution(p)
				must(t, err)
			}
			return nil
		})
		if !honest && slot != 1 {
			t.Fatal("an honest record is gone")
		}
	})
}
