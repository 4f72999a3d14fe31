package index

import (
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// oneRecord is a record of a file of one block, as it is sealed and as it travels.
func oneRecord(b *testing.B) (seal *sealer, names *block.Keys, clear, entry, record []byte) {
	w := newWorld(b, "a")
	d := w.devices[0]
	dots := d.write(d.file("documents/2026/letter to somebody.txt", "one block"))
	batch := d.batch(dots[0].Journal, dots[0].Seq-1)
	record = batch.Records[0]
	clear, sealed, err := splitRecord(record)
	must(b, err)
	c, _, err := decodeClear(clear)
	must(b, err)
	d.view(func(tx *Tx) error {
		must(b, tx.requireKeys())
		seal, names = tx.sealer(c.epoch), &tx.names
		return nil
	})
	entry, err = seal.openPart(recordAD(clear), sealed)
	must(b, err)
	return seal, names, clear, entry, record
}

func BenchmarkSealRecord(b *testing.B) {
	seal, _, clear, entry, record := oneRecord(b)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		seal.seal(clear, entry)
	}
}

// BenchmarkVerifyRecord hashes, opens and decodes a record as it came.
func BenchmarkVerifyRecord(b *testing.B) {
	seal, names, _, _, record := oneRecord(b)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	for b.Loop() {
		clear, sealed, err := splitRecord(record)
		if err != nil {
			b.Fatal(err)
		}
		c, _, err := decodeClear(clear)
		if err != nil {
			b.Fatal(err)
		}
		entry, err := seal.openPart(recordAD(clear), sealed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeEntry(entry, shoal.Dot{Journal: c.journal, Seq: c.seq}, names); err != nil {
			b.Fatal(err)
		}
		recordHash(record)
	}
}

// benchmarkJournal is a journal of so many records in a file.
func benchmarkJournal(b *testing.B, records int) *device {
	w := newWorld(b, "a")
	d := w.devices[0]
	d.onDisk(b)
	for i := range records / 1000 {
		d.write(drafts(d, shoal.Path(fmt.Sprintf("documents/2026/folder-%d", i)), 1000)...)
	}
	return d
}

// BenchmarkDigestBucket is what one edit costs: the bucket that it is in, which is full.
func BenchmarkDigestBucket(b *testing.B) {
	d := benchmarkJournal(b, 2*BucketSize)
	b.ReportAllocs()
	d.view(func(tx *Tx) error {
		own, _ := tx.Own()
		j := tx.mustJournals().byID[own]
		for b.Loop() {
			tx.digestBucket(j.number, 0, j.seq)
		}
		return nil
	})
}

// BenchmarkSignHead lists the digests of a journal of 100,000 records and signs its head.
func BenchmarkSignHead(b *testing.B) {
	d := benchmarkJournal(b, 100_000)
	b.ReportAllocs()
	d.update(func(tx *Tx) error {
		own, _ := tx.Own()
		j := tx.mustJournals().byID[own]
		for b.Loop() {
			list, err := tx.bucketList(j)
			if err != nil {
				return err
			}
			tx.signHead(j, list)
		}
		return nil
	})
}

func BenchmarkLookUp(b *testing.B) {
	d := benchmarkJournal(b, 100_000)
	d.apply()
	b.ReportAllocs()
	d.view(func(tx *Tx) error {
		for i := 0; b.Loop(); i++ {
			p := shoal.Path(fmt.Sprintf("documents/2026/folder-%d/file-%06d.txt", i%100, i*37%1000))
			if base, err := tx.Base(p); base == nil || err != nil {
				b.Fatal(p, err)
			}
		}
		return nil
	})
}
