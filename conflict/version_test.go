package conflict

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

// versions draws versions over a few journals, so that draws meet each other.
func versions(t *rapid.T, label string) Version {
	var v Version
	for range rapid.IntRange(0, 4).Draw(t, label+" size") {
		v = v.With(shoal.Dot{
			Journal: journal(byte('A' + rapid.IntRange(0, 5).Draw(t, label+" journal"))),
			Seq:     shoal.Seq(rapid.IntRange(1, 4).Draw(t, label+" seq")),
		})
	}
	return v
}

// model is a version as a map, to compare with.
func model(v Version) map[shoal.JournalID]shoal.Seq {
	m := map[shoal.JournalID]shoal.Seq{}
	for _, d := range v {
		m[d.Journal] = d.Seq
	}
	return m
}

func TestVersionValidate(t *testing.T) {
	a, b := dot("A1"), dot("B2")
	tests := []struct {
		name string
		v    Version
		ok   bool
	}{
		{"the empty version", nil, true},
		{"two journals in order", Version{a, b}, true},
		{"two journals out of order", Version{b, a}, false},
		{"one journal twice", Version{a, dot("A2")}, false},
		{"seq 0", Version{{Journal: a.Journal}}, false},
		{"a journal without a device", Version{{Seq: 1}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.v.Validate()
			if (err == nil) != tt.ok {
				t.Fatalf("Validate gives %v", err)
			}
			if err != nil && !errors.Is(err, shoal.ErrInvalid) {
				t.Errorf("%v does not wrap ErrInvalid", err)
			}
		})
	}
}

func TestJoinIsALeastUpperBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := versions(t, "a"), versions(t, "b"), versions(t, "c")
		ab := Join(a, b)
		if err := ab.Validate(); err != nil {
			t.Fatal(err)
		}
		if !ab.Equal(Join(b, a)) {
			t.Fatal("not commutative")
		}
		if !Join(ab, c).Equal(Join(a, Join(b, c))) {
			t.Fatal("not associative")
		}
		if !Join(a, a).Equal(a) || !Join(ab, a).Equal(ab) {
			t.Fatal("not idempotent")
		}
		want := model(a)
		for j, s := range model(b) {
			want[j] = max(want[j], s)
		}
		if len(want) != len(ab) {
			t.Fatalf("%s joined with %s is %s", a, b, ab)
		}
		for j, s := range want {
			if ab.Get(j) != s {
				t.Fatalf("%s joined with %s is %s", a, b, ab)
			}
		}
	})
}

func TestWithJoinsOneDot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, d := versions(t, "v"), dot(rapid.StringMatching(`[A-G][1-5]`).Draw(t, "dot"))
		before := Join(nil, v).String()
		got := v.With(d)
		if !got.Equal(Join(v, Version{d})) {
			t.Fatalf("%s with %s is %s", v, d, got)
		}
		if v.String() != before {
			t.Fatalf("the version itself became %s", v)
		}
		if !v.With(shoal.Dot{}).Equal(v) {
			t.Fatal("the zero dot added something")
		}
	})
}

func TestWithNeverWritesIntoTheVersionItExtends(t *testing.T) {
	base := version("A1")
	left, right := base.With(dot("B1")), base.With(dot("C1"))
	if dotNames(left) != "A1 B1" || dotNames(right) != "A1 C1" {
		t.Errorf("%s and %s", left, right)
	}
}

func TestVersionString(t *testing.T) {
	if got := (Version{}).String(); got != "{}" {
		t.Errorf("empty version prints %q", got)
	}
	if got, want := version("A1 B2").String(), "{"+dot("A1").String()+" "+dot("B2").String()+"}"; got != want {
		t.Errorf("prints %q, want %q", got, want)
	}
}
