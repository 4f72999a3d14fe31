package conflict

import (
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
)

func BenchmarkResolve(b *testing.B) {
	image := lineage("K<A5")
	for _, bm := range []struct {
		name    string
		records []Sibling
		lineage Lineage
	}{
		{"one record", records(file("A1", "text")), nil},
		{"one superseded by another journal", records(file("A1", "old"), file("B1", "new", saw("A1"), instead("old"))), nil},
		{"superseded, with a lineage", records(file("A1", "old"), file("B1", "new", saw("A1"), instead("old"))), image},
		{"chmod against edit", records(chmod("B1", 0o600, of("old", "A1")), file("C1", "new", saw("A1"), instead("old"))), nil},
		{"two edits", records(file("B1", "b", saw("A1")), file("C1", "c", saw("A1"))), nil},
		{"ten edits", many(10), nil},
		{"a hundred edits", many(100), nil},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Resolve(bm.records, bm.lineage, false)
			}
		})
	}
}

// many returns n concurrent edits by n devices.
func many(n int) []Sibling {
	out := make([]Sibling, n)
	for i := range out {
		d := shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{1}, Nonce: uint64(i)}, Seq: 1}
		out[i] = Sibling{Record: d, Version: Version{d}, Kind: shoal.KindFile, Content: content(fmt.Sprint(i)), Time: int64(i)}
	}
	return out
}

func BenchmarkJoin(b *testing.B) {
	for _, bm := range []struct {
		name string
		a, b Version
	}{
		{"descendant", version("A1 B2 C3 D4"), version("A1 C2")},
		{"concurrent", version("A1 B2 C3"), version("A2 B1 D4")},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Join(bm.a, bm.b)
			}
		})
	}
}

func BenchmarkDescends(b *testing.B) {
	a, o := version("A1 B2 C3 K1"), version("A1 C2")
	for name, l := range map[string]Lineage{"without a lineage": nil, "with a lineage": lineage("K<A5")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Descends(a, o)
			}
		})
	}
}

// Twenty devices that have each seen most of the others, in journals that continue older ones.
func BenchmarkDescendsOfManyDevices(b *testing.B) {
	l, a, o := Lineage{}, Version{}, Version{}
	for i := range byte(20) {
		id := func(life uint64) shoal.JournalID { return shoal.JournalID{Device: shoal.DeviceID{i}, Nonce: life} }
		l[id(2)], l[id(3)] = shoal.Dot{Journal: id(1), Seq: 5}, shoal.Dot{Journal: id(2), Seq: 5}
		a = a.With(shoal.Dot{Journal: id(3), Seq: 1})
		o = o.With(shoal.Dot{Journal: id(1 + uint64(i)%3), Seq: 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Descends(a, o)
	}
}

func BenchmarkPrune(b *testing.B) {
	l, v := lineage("L<K2", "K<A5"), version("A4 B1 C1 L1")
	b.ReportAllocs()
	for b.Loop() {
		l.Prune(v)
	}
}

func BenchmarkCopyName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		CopyName("report.txt", "laptop", noon, [32]byte{1, 2}, free)
	}
}
