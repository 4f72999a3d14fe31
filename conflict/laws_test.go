package conflict

import (
	"reflect"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

// The laws here hold for any records, forged ones included: versions, content records and times are drawn at random and fit
// together only by accident. history_test.go has the laws for records as honest devices write them.

// anySiblings draws a set of records in which everything may collide with everything.
func anySiblings(t *rapid.T) []Sibling {
	drawDot := rapid.Custom(func(t *rapid.T) shoal.Dot {
		return shoal.Dot{Journal: journal(rapid.ByteRange('A', 'F').Draw(t, "journal")), Seq: shoal.Seq(rapid.IntRange(0, 4).Draw(t, "seq"))}
	})
	kinds := rapid.SampledFrom([]shoal.Kind{shoal.KindFile, shoal.KindFile, shoal.KindFile, shoal.KindSymlink, shoal.KindFolder, shoal.KindTombstone})
	texts := rapid.SampledFrom([]string{"a", "b", "c"})
	one := rapid.Custom(func(t *rapid.T) Sibling {
		s := Sibling{
			Record:      drawDot.Filter(func(d shoal.Dot) bool { return !d.IsZero() }).Draw(t, "record"),
			Kind:        kinds.Draw(t, "kind"),
			ContentFrom: drawDot.Draw(t, "content from"),
			ModeFrom:    drawDot.Draw(t, "mode from"),
			Time:        int64(rapid.IntRange(0, 3).Draw(t, "time")),
			Mode:        uint32(rapid.IntRange(0, 3).Draw(t, "mode")),
			MTime:       int64(rapid.IntRange(0, 3).Draw(t, "mtime")),
		}
		s.Version = versions(t, "version").With(s.Record)
		if s.Kind == shoal.KindFile || s.Kind == shoal.KindSymlink {
			s.Content = content(texts.Draw(t, "content"))
		}
		if rapid.Bool().Draw(t, "replaces") {
			s.Replaced = content(texts.Draw(t, "replaced"))
		}
		return s
	})
	return rapid.SliceOfN(one, 0, 7).Draw(t, "records")
}

func TestResolveDoesNotDependOnTheOrderOfRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, lin, children := anySiblings(t), lineages(t), rapid.Bool().Draw(t, "children")
		want := Resolve(in, lin, children)
		for range 3 {
			shuffled := rapid.Permutation(in).Draw(t, "order")
			if got := Resolve(shuffled, lin, children); !reflect.DeepEqual(got, want) {
				t.Fatalf("\n got %s %+v\nwant %s %+v", sayAll(got), got, sayAll(want), want)
			}
		}
	})
}

func TestResolvingTwiceTheSameRecordsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, lin, children := anySiblings(t), lineages(t), rapid.Bool().Draw(t, "children")
		want, got := Resolve(in, lin, children), Resolve(slices.Concat(in, in), lin, children)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %+v\nwant %+v", got, want)
		}
	})
}

func TestDominatedRecordsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, lin, children := anySiblings(t), lineages(t), rapid.Bool().Draw(t, "children")
		want := Resolve(in, lin, children)
		var kept []Sibling
		for _, s := range undominated(in, lin) {
			kept = append(kept, *s)
		}
		if !reflect.DeepEqual(Resolve(kept, lin, children), want) {
			t.Fatalf("without the dominated records: %s, with them: %s", sayAll(Resolve(kept, lin, children)), sayAll(want))
		}
		extra := anySiblings(t)
		for _, s := range extra {
			if !slices.ContainsFunc(in, func(o Sibling) bool {
				return lin.Descends(o.Version, s.Version) && !lin.Descends(s.Version, o.Version)
			}) {
				continue
			}
			if got := Resolve(append(slices.Clone(in), s), lin, children); !reflect.DeepEqual(got, want) {
				t.Fatalf("with the dominated %+v\n got %+v\nwant %+v", s, got, want)
			}
		}
	})
}

// wouldYield is the relation of yields, circles included, closed over chains: the plain way, to compare with.
func wouldYield(in []*Sibling, lin Lineage) (direct, chain [][]bool) {
	set := siblingSet{lin: lin}
	n := len(in)
	direct, chain = make([][]bool, n), make([][]bool, n)
	for i := range n {
		direct[i], chain[i] = make([]bool, n), make([]bool, n)
		for k := range n {
			direct[i][k] = i != k && set.yieldsTo(in[i], in[k])
			chain[i][k] = direct[i][k]
		}
	}
	for via := range n {
		for i := range n {
			for k := range n {
				chain[i][k] = chain[i][k] || chain[i][via] && chain[via][k]
			}
		}
	}
	return direct, chain
}

func TestOnlyWhatYieldsOutsideOfACircleIsNotShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, lin := anySiblings(t), lineages(t)
		r := Resolve(in, lin, false)
		var shown []Shown
		if r.Winner != nil {
			shown = append(r.Losers, *r.Winner)
		}
		left := undominated(in, lin)
		direct, chain := wouldYield(left, lin)
		for i, s := range left {
			yields := false
			for k := range left {
				yields = yields || direct[i][k] && !chain[k][i]
			}
			if yields {
				continue
			}
			switch s.Kind {
			case shoal.KindTombstone:
				if !slices.Contains(r.Tombstones, s.Record) {
					t.Fatalf("tombstone %s is missing in %s", dotName(s.Record), sayAll(r))
				}
			case shoal.KindFolder: // loses without being shown
			default:
				if !slices.ContainsFunc(shown, func(o Shown) bool { return o.Kind == s.Kind && o.Content == s.Content }) {
					t.Fatalf("%s %s by %s yields to nobody and is not in %s", s.Kind, contentText(s.Content), dotName(s.Record), sayAll(r))
				}
			}
		}
		if len(left) > 0 && r.Winner == nil && len(r.Tombstones) == 0 {
			t.Fatal("all yielded and nobody survived")
		}
	})
}

func TestResolutionIsWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, lin, children := anySiblings(t), lineages(t), rapid.Bool().Draw(t, "children")
		r := Resolve(in, lin, children)
		if children && (r.Winner == nil || r.Winner.Kind != shoal.KindFolder) {
			t.Fatalf("children live, yet %s stands", say(r.Winner))
		}
		if !slices.IsSortedFunc(r.Tombstones, shoal.Dot.Compare) {
			t.Fatal("tombstones are not sorted")
		}
		if r.Winner == nil {
			if len(r.Losers) > 0 {
				t.Fatal("losers without a winner")
			}
			return
		}
		for i, s := range append([]Shown{*r.Winner}, r.Losers...) {
			checkShown(t, in, s)
			if i > 0 && s.Kind != shoal.KindFile && s.Kind != shoal.KindSymlink {
				t.Fatalf("a %s is shown as a loser", s.Kind)
			}
			if i > 0 && s.Kind == r.Winner.Kind && s.Content == r.Winner.Content {
				t.Fatal("the winner is its own loser")
			}
		}
	})
}

func checkShown(t *rapid.T, in []Sibling, s Shown) {
	if s.Kind == shoal.KindTombstone {
		t.Fatal("a tombstone is shown")
	}
	if err := s.Version.Validate(); err != nil {
		t.Fatal(err)
	}
	if s.Record.IsZero() {
		if s.Kind != shoal.KindFolder || s.Version != nil || s.Members != nil {
			t.Fatalf("%+v has no record", s)
		}
		return
	}
	if !slices.Contains(s.Members, s.Record) || !slices.IsSortedFunc(s.Members, shoal.Dot.Compare) {
		t.Fatalf("members %s of %s", dotNames(s.Members), say(&s))
	}
	for _, m := range s.Members {
		if s.Version.Get(m.Journal) < m.Seq {
			t.Fatalf("version %s lacks member %s", dotNames(s.Version), dotName(m))
		}
	}
	if !slices.ContainsFunc(in, func(o Sibling) bool {
		return o.Record == s.Record && o.Kind == s.Kind && o.Content == s.Content && o.Time == s.Time
	}) {
		t.Fatalf("%s is none of the records", say(&s))
	}
}
