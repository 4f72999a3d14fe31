package conflict

import (
	"reflect"
	"testing"
)

func TestChmodYieldsToEditAndKeepsItsMode(t *testing.T) {
	r := Resolve(records(
		chmod("B1", 0o600, of("old", "A1"), at(200)),
		file("C1", "new", saw("A1"), modeFrom("A1"), instead("old"), at(300)),
	), nil, false)
	w := r.Winner
	if say(w) != "file new by C1" || w.Mode != 0o600 || dotName(w.ModeFrom) != "B1" {
		t.Errorf("%s with mode %o of %s", say(w), w.Mode, dotName(w.ModeFrom))
	}
	if w.MTime != 300 || dotName(w.ContentFrom) != "C1" || contentText(w.Replaced) != "old" {
		t.Errorf("mtime %d, content from %s, replaced %s", w.MTime, dotName(w.ContentFrom), contentText(w.Replaced))
	}
	wantVersion(t, w.Version, "A1 B1 C1")
	if got := dotNames(w.Members); got != "B1 C1" {
		t.Errorf("members %s", got)
	}
}

func TestTouchAgainstEditGivesTheEditTheLaterMTime(t *testing.T) {
	for _, tt := range []struct {
		name            string
		touched, edited int64
		want            int64
	}{
		{"touched last", 900, 100, 900},
		{"edited last", 100, 900, 900},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := Resolve(records(
				touch("B1", tt.touched, of("old", "A1"), at(tt.touched)),
				file("C1", "new", saw("A1"), modeFrom("A1"), at(tt.edited)),
			), nil, false).Winner
			if say(w) != "file new by C1" || w.MTime != tt.want || w.Time != tt.edited {
				t.Errorf("%s, mtime %d, time %d", say(w), w.MTime, w.Time)
			}
		})
	}
}

func TestModeComesFromWhoChangedIt(t *testing.T) {
	tests := []struct {
		name    string
		records []Sibling
		want    uint32
		from    string
	}{
		{
			"only the earlier changed it",
			records(chmod("B1", 0o600, of("x", "A1"), at(200)), touch("C1", 1, of("x", "A1"), at(300))),
			0o600, "B1",
		},
		{
			"only the later changed it",
			records(touch("B1", 1, of("x", "A1"), at(200)), chmod("C1", 0o600, of("x", "A1"), at(300))),
			0o600, "C1",
		},
		{
			"both changed it: the later",
			records(chmod("B1", 0o600, of("x", "A1"), at(200)), chmod("C1", 0o640, of("x", "A1"), at(300))),
			0o640, "C1",
		},
		{
			"both saved equal content anew: the later",
			records(file("B1", "x", mode(0o600), at(300)), file("C1", "x", mode(0o640), at(200))),
			0o600, "B1",
		},
		{
			"a change that another member had seen and changed again counts no more",
			records(
				touch("B2", 1, of("x", "B1"), modeFrom("B1"), mode(0o600), at(900)),
				chmod("C1", 0o640, of("x", "A1"), saw("B1"), at(300)),
				file("D1", "y", saw("A1"), modeFrom("A1"), instead("x"), at(400))),
			0o640, "C1",
		},
		{
			"of changes that saw each other and of one that saw none: the latest",
			records(
				file("B2", "x", exactly("B2 C1"), modeFrom("B1"), mode(0o600), at(300)),
				file("C2", "x", exactly("C2 B1"), modeFrom("C1"), mode(0o640), at(200)),
				file("D1", "x", mode(0o660), at(100))),
			0o600, "B1",
		},
		{
			"changes that overrule each other in a circle: the latest",
			records(
				file("B2", "x", exactly("B2 D1"), modeFrom("B1"), mode(0o600), at(300)),
				file("C2", "x", exactly("C2 B1"), modeFrom("C1"), mode(0o640), at(200)),
				file("D2", "x", exactly("D2 C1"), modeFrom("D1"), mode(0o660), at(100))),
			0o600, "B1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			permutations(tt.records, func(order []Sibling) {
				w := Resolve(order, nil, false).Winner
				if w.Mode != tt.want || dotName(w.ModeFrom) != tt.from {
					t.Errorf("mode %o of %s, want %o of %s", w.Mode, dotName(w.ModeFrom), tt.want, tt.from)
				}
			})
		})
	}
}

func TestModeAndMTimeDoNotCrossKinds(t *testing.T) {
	w := Resolve(records(
		folder("A2", saw("A1"), from("A1"), mode(0o700), at(900)),
		file("B1", "text", saw("A1"), mode(0o644), at(200)),
	), nil, false).Winner
	if say(w) != "file text by B1" || w.Mode != 0o644 || w.MTime != 200 {
		t.Errorf("%s with mode %o and mtime %d", say(w), w.Mode, w.MTime)
	}
	wantVersion(t, w.Version, "A2 B1")
}

func TestEqualContentJoinsVersions(t *testing.T) {
	w := Resolve(records(file("B1", "same", saw("A1"), at(200)), file("C1", "same", saw("D1"), at(300))), nil, false).Winner
	wantVersion(t, w.Version, "A1 B1 C1 D1")
	if got := dotNames(w.Members); got != "B1 C1" {
		t.Errorf("members %s", got)
	}
}

func TestWinnerDoesNotClaimToHaveSeenItsRivals(t *testing.T) {
	r := Resolve(records(
		file("B1", "mine", saw("A1"), at(300)),
		file("C1", "theirs", saw("A1"), at(200)),
		remove("D1", saw("A1"), at(400)),
	), nil, false)
	wantVersion(t, r.Winner.Version, "A1 B1")
	wantVersion(t, r.Losers[0].Version, "A1 C1")
}

func TestEditThatYieldedBringsItsYieldersAlong(t *testing.T) {
	w := Resolve(records(
		touch("B2", 900, of("draft", "B1"), saw("A1"), modeFrom("A1"), instead("old"), at(900)),
		chmod("C1", 0o600, of("old", "A1"), at(100)),
		file("D1", "old", saw("A1 B1"), instead("draft"), at(50), modeFrom("A1")),
	), nil, false).Winner
	if say(w) != "file old by D1" {
		t.Fatal(say(w))
	}
	// C1 yielded to the draft and with it to D1, so it does not name the file; but it counts as one with D1, so its mode stays.
	if w.Mode != 0o600 || w.MTime != 900 {
		t.Errorf("mode %o, mtime %d", w.Mode, w.MTime)
	}
	wantVersion(t, w.Version, "A1 B2 C1 D1")
}

func TestAbsenceHasSeenWhatYieldedToTheDeletion(t *testing.T) {
	r := Resolve(records(
		remove("B1", saw("A1"), instead("old")),
		chmod("C1", 0o600, of("old", "A1")),
		file("D1", "old", saw("A1")),
	), nil, false)
	if got := sayAll(r); got != "nothing; deleted by B1" {
		t.Fatal(got)
	}
	wantVersion(t, r.Absence, "A1 B1 C1 D1")
}

func TestFolderThatLivesThroughItsChildren(t *testing.T) {
	t.Run("has no record and the usual mode", func(t *testing.T) {
		w := Resolve(nil, nil, true).Winner
		if !w.Record.IsZero() || w.Mode != 0o755 || w.Version != nil || w.Members != nil {
			t.Errorf("%+v", w)
		}
	})
	t.Run("keeps the mode of a record that yielded to a deletion", func(t *testing.T) {
		r := Resolve(records(
			folder("A2", saw("A1"), from("A1"), mode(0o700)),
			remove("B1", saw("A1")),
		), nil, true)
		if say(r.Winner) != "folder by A2" || r.Winner.Mode != 0o700 || dotNames(r.Tombstones) != "B1" {
			t.Errorf("%s mode %o, deleted by %s", say(r.Winner), r.Winner.Mode, dotNames(r.Tombstones))
		}
	})
}

func TestResolveLeavesItsInputAlone(t *testing.T) {
	in := records(remove("C1", saw("A1")), chmod("B1", 0o600, of("old", "A1")), file("D1", "new", saw("A1")), file("D2", "newer", saw("D1")))
	in[1].ContentFrom = dot("")
	want := make([]Sibling, len(in))
	copy(want, in)
	r := Resolve(in, nil, false)
	if !reflect.DeepEqual(in, want) {
		t.Errorf("input became %+v", in)
	}
	if cap(r.Losers) > len(r.Losers) && len(r.Losers) > 0 {
		t.Errorf("losers can be appended to in place")
	}
}
