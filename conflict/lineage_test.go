package conflict

import (
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

func TestLineageCovers(t *testing.T) {
	tests := []struct {
		name    string
		lineage Lineage
		version string
		dot     string
		want    bool
	}{
		{"a journal covers its own past", nil, "A5", "A3", true},
		{"a journal covers its last record", nil, "A5", "A5", true},
		{"a journal does not cover its future", nil, "A5", "A6", false},
		{"strangers cover nothing of each other", nil, "A5", "B1", false},
		{"the empty version covers nothing", nil, "", "A1", false},
		{"everything covers the zero dot", nil, "", "", true},
		{"a continuation covers the old journal up to the proof", lineage("K<A5"), "K1", "A5", true},
		{"a continuation does not cover what its former life wrote later", lineage("K<A5"), "K9", "A6", false},
		{"the old journal covers nothing of its continuation", lineage("K<A5"), "A9", "K1", false},
		{"continuations are transitive", lineage("L<K2", "K<A5"), "L1", "A5", true},
		{"what a version saw of the middle journal still counts", lineage("L<K2", "K<A5"), "L1 K4", "K3", true},
		{"a continuation from nothing covers nothing", lineage("K<A0"), "K1", "A1", false},
		{"a continuation from nothing ends the chain", lineage("L<K0", "K<A5"), "L1", "A1", false},
		{"the old component itself counts beyond the proof", lineage("K<A5"), "A7 K1", "A7", true},
		{"a circle of two covers what its links say", lineage("K<A5", "A<K3"), "K1", "K3", true},
		{"a circle of two covers no more than its links say", lineage("K<A5", "A<K3"), "K1", "A6", false},
		{"a journal that continues itself ends", lineage("K<K5"), "K1", "K6", false},
		{"a tail into a circle passes all of it", lineage("L<K9", "K<A2", "A<K3"), "L1", "A2", true},
		{"a circle that does not hold the journal ends", lineage("L<K9", "K<A2", "A<K3"), "L1", "B1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.lineage.Covers(version(tt.version), dot(tt.dot)); got != tt.want {
				t.Errorf("%s covers %s: %v", tt.version, tt.dot, got)
			}
		})
	}
}

func TestDescends(t *testing.T) {
	tests := []struct {
		name    string
		lineage Lineage
		a, b    string
		want    bool
	}{
		{"from itself", nil, "A1 B2", "A1 B2", true},
		{"from the empty version", nil, "A1", "", true},
		{"not the empty version from something", nil, "", "A1", false},
		{"from a part of itself", nil, "A2 B2 C1", "A1 C1", true},
		{"not from a concurrent version", nil, "A2 B1", "A1 B2", false},
		{"not from a longer version", nil, "A2", "A1 B1", false},
		{"through a lineage", lineage("K<A5"), "B1 K1", "A5 B1", true},
		{"not past the proof of a lineage", lineage("K<A5"), "B1 K1", "A6 B1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.lineage.Descends(version(tt.a), version(tt.b)); got != tt.want {
				t.Errorf("%s descends from %s: %v", tt.a, tt.b, got)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	tests := []struct {
		name    string
		lineage Lineage
		version string
		want    string
	}{
		{"leaves one component per device", lineage("L<K2", "K<A5"), "A4 B1 K2 L1", "B1 L1"},
		{"keeps what lies above the proof", lineage("K<A5"), "A6 K1", "A6 K1"},
		{"keeps all without a lineage", nil, "A1 B1", "A1 B1"},
		{"keeps one of two that cover each other", lineage("K<A5", "A<K5"), "A1 K1", "K1"},
		{"leaves the empty version", lineage("K<A5"), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.lineage.Prune(version(tt.version)); !got.Equal(version(tt.want)) {
				t.Errorf("leaves %s", dotNames(got))
			}
		})
	}
}

// lineages draws links between few journals, circles included.
func lineages(t *rapid.T) Lineage {
	l := Lineage{}
	for range rapid.IntRange(0, 5).Draw(t, "links") {
		l[journal(rapid.ByteRange('A', 'F').Draw(t, "journal"))] = shoal.Dot{
			Journal: journal(rapid.ByteRange('A', 'F').Draw(t, "continues")),
			Seq:     shoal.Seq(rapid.IntRange(0, 4).Draw(t, "up to")),
		}
	}
	return l
}

// everyDot calls f with all dots that the draws of this package can name, and a few above.
func everyDot(f func(shoal.Dot)) {
	for letter := byte('A'); letter <= 'G'; letter++ {
		for seq := shoal.Seq(1); seq <= 5; seq++ {
			f(shoal.Dot{Journal: journal(letter), Seq: seq})
		}
	}
}

// closure is Covers as a set, grown until nothing is added: obviously right, and it ends because the dots are few.
func closure(l Lineage, v Version) map[shoal.Dot]bool {
	in := map[shoal.Dot]bool{}
	add := func(d shoal.Dot) (grew bool) {
		for s := shoal.Seq(1); s <= d.Seq; s++ {
			if k := (shoal.Dot{Journal: d.Journal, Seq: s}); !in[k] {
				in[k], grew = true, true
			}
		}
		return grew
	}
	for _, d := range v {
		add(d)
	}
	for grew := true; grew; {
		grew = false
		for j, d := range l {
			if in[shoal.Dot{Journal: j, Seq: 1}] && add(d) {
				grew = true
			}
		}
	}
	return in
}

func TestCoversIsTheClosureOfTheLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, v := lineages(t), versions(t, "v")
		in := closure(l, v)
		everyDot(func(d shoal.Dot) {
			if got := l.Covers(v, d); got != in[d] {
				t.Fatalf("%s covers %s: %v", dotNames(v), dotName(d), got)
			}
		})
	})
}

func TestDescendsIsAPreorder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, a, b, c := lineages(t), versions(t, "a"), versions(t, "b"), versions(t, "c")
		if !l.Descends(a, a) {
			t.Fatal("not reflexive")
		}
		if l.Descends(a, b) && l.Descends(b, c) && !l.Descends(a, c) {
			t.Fatal("not transitive")
		}
		if !l.Descends(Join(a, b), a) {
			t.Fatal("a join does not descend from its parts")
		}
	})
}

func TestPruneKeepsCoverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, v := lineages(t), versions(t, "v")
		pruned := l.Prune(v)
		if err := pruned.Validate(); err != nil {
			t.Fatal(err)
		}
		if !pruned.Equal(l.Prune(pruned)) {
			t.Fatal("not idempotent")
		}
		if !contains(v, pruned) {
			t.Fatal("added something")
		}
		everyDot(func(d shoal.Dot) {
			if l.Covers(v, d) != l.Covers(pruned, d) {
				t.Fatalf("%s pruned to %s changes whether %s is covered", dotNames(v), dotNames(pruned), dotName(d))
			}
		})
	})
}

func TestLongLineagesAndCyclesEnd(t *testing.T) {
	const n = 5000
	long := Lineage{}
	id := func(i int) shoal.JournalID {
		return shoal.JournalID{Device: shoal.DeviceID{1}, Nonce: uint64(i)}
	}
	for i := range n {
		long[id(i+1)] = shoal.Dot{Journal: id(i), Seq: 3}
	}
	top := Version{{Journal: id(n), Seq: 1}}
	if !long.Covers(top, shoal.Dot{Journal: id(0), Seq: 3}) || long.Covers(top, shoal.Dot{Journal: id(0), Seq: 4}) {
		t.Error("the end of a long chain is not what its last link says")
	}
	long[id(0)] = shoal.Dot{Journal: id(n / 2), Seq: 7} // a tail into a circle
	if !long.Covers(top, shoal.Dot{Journal: id(n / 2), Seq: 7}) {
		t.Error("the link that closes the circle does not count")
	}
	if long.Covers(top, shoal.Dot{Journal: id(n / 2), Seq: 8}) {
		t.Error("a circle covers more than its links say")
	}
}

// Twenty devices edited, each in a journal that continues an older one: who saw them all descends from each, and from no older journal's end that it had not held.
func TestChainsOfManyDevicesAreToldApart(t *testing.T) {
	const devices = 20
	lin, seen := Lineage{}, Version{}
	of := func(device byte, life uint64, seq shoal.Seq) shoal.Dot {
		return shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{device}, Nonce: life}, Seq: seq}
	}
	for d := byte(1); d <= devices; d++ {
		for life := uint64(2); life <= 4; life++ {
			lin[of(d, life, 1).Journal] = of(d, life-1, 7)
		}
		seen = seen.With(of(d, 4, 1))
	}
	for d := byte(1); d <= devices; d++ {
		for life := uint64(1); life <= 3; life++ {
			if !lin.Covers(seen, of(d, life, 7)) || lin.Covers(seen, of(d, life, 8)) {
				t.Errorf("life %d of device %d", life, d)
			}
		}
		if lin.Covers(seen, of(d, 4, 2)) || lin.Covers(Version{of(d, 4, 1)}, of(d%devices+1, 1, 1)) {
			t.Errorf("device %d", d)
		}
	}
}
