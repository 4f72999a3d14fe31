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
	})
}
