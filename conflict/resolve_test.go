package conflict

import (
	"reflect"
	"testing"
)

func TestResolve(t *testing.T) {
	tests := []struct {
		name     string
		records  []Sibling
		lineage  Lineage
		children bool
		want     string
	}{
		// One thing at a time.
		{
			name: "no record is nothing",
			want: "nothing",
		},
		{
			name:    "a file stands",
			records: records(file("A1", "text")),
			want:    "file text by A1",
		},
		{
			name:    "a deleted file is nothing",
			records: records(file("A1", "text"), remove("B1", saw("A1"), instead("text"))),
			want:    "nothing; deleted by B1",
		},
		{
			name:    "an edit replaces what it had seen, whatever the clocks say",
			records: records(file("A1", "old", at(900)), file("B1", "new", saw("A1"), instead("old"), at(100))),
			want:    "file new by B1",
		},
		{
			name:    "a file made anew after its deletion was seen stands",
			records: records(remove("B1", saw("A1")), file("C1", "again", saw("A1 B1"))),
			want:    "file again by C1",
		},

		// Edits against edits.
		{
			name:    "of two edits the later wins and the other is kept beside it",
			records: records(file("B1", "mine", saw("A1"), instead("old"), at(200)), file("C1", "theirs", saw("A1"), instead("old"), at(300))),
			want:    "file theirs by C1 beside file mine by B1",
		},
		{
			name:    "of two edits of one moment the greater content wins",
			records: records(file("B1", "z", at(200)), file("C1", "a", at(200))),
			want:    "file z by B1 beside file a by C1",
		},
		{
			name: "three concurrent edits are one winner and two copies, latest first",
			records: records(
				file("B1", "two", saw("A1"), instead("old"), at(200)),
				file("C1", "three", saw("A1"), instead("old"), at(300)),
				file("D1", "one", saw("A1"), instead("old"), at(100))),
			want: "file three by C1 beside file two by B1, file one by D1",
		},
		{
			name: "an edit of the winner leaves the loser that it had not seen",
			records: records(
				file("B1", "mine", saw("A1"), instead("old"), at(200)),
				file("C1", "theirs", saw("A1"), instead("old"), at(300)),
				file("D1", "theirs, better", saw("A1 C1"), instead("theirs"), at(400))),
			want: "file theirs, better by D1 beside file mine by B1",
		},
		{
			name: "a record that saw both sides settles the conflict",
			records: records(
				file("B1", "mine", saw("A1"), at(200)),
				file("C1", "theirs", saw("A1"), at(300)),
				file("D1", "both", saw("A1 B1 C1"), instead("theirs"), at(150))),
			want: "file both by D1",
		},
		{
			name:    "two files made at one path at once are both kept",
			records: records(file("A1", "a", at(1)), file("B1", "b", at(2))),
			want:    "file b by B1 beside file a by A1",
		},
		{
			name:    "a record of an unknown time loses",
			records: records(file("A1", "imported", at(0)), file("B1", "known", at(1))),
			want:    "file known by B1 beside file imported by A1",
		},

		// Edits against deletions.
		{
			name:    "an edit beats a deletion that had not seen it",
			records: records(file("B1", "new", saw("A1"), instead("old"), at(100)), remove("C1", saw("A1"), instead("old"), at(900))),
			want:    "file new by B1; deleted by C1",
		},
		{
			name: "two unseen edits both survive a deletion",
			records: records(
				file("B1", "b", saw("A1"), instead("old"), at(200)),
				file("D1", "d", saw("A1"), instead("old"), at(100)),
				remove("C1", saw("A1"), instead("old"), at(900))),
			want: "file b by B1 beside file d by D1; deleted by C1",
		},
		{
			name:    "a chmod does not save a file from deletion",
			records: records(chmod("B1", 0o600, of("old", "A1"), at(900)), remove("C1", saw("A1"), instead("old"), at(100))),
			want:    "nothing; deleted by C1",
		},
		{
			name:    "saving the same content again does not save a file from deletion",
			records: records(file("B1", "old", saw("A1"), at(900)), remove("C1", saw("A1"), instead("old"), at(100))),
			want:    "nothing; deleted by C1",
		},
		{
			name:    "two deletions are one absence",
			records: records(remove("B1", saw("A1")), remove("C1", saw("A1"))),
			want:    "nothing; deleted by B1 C1",
		},
		{
			name: "a deletion that was overruled with open eyes counts no more",
			records: records(
				remove("C1", saw("A1"), instead("old")),
				file("D1", "old", saw("A1 C1"))),
			want: "file old by D1",
		},

		// Yielding.
		{
			name:    "chmod yields to an edit",
			records: records(chmod("B1", 0o600, of("old", "A1"), at(900)), file("C1", "new", saw("A1"), instead("old"), at(100))),
			want:    "file new by C1",
		},
		{
			name:    "touch yields to an edit",
			records: records(touch("B1", 950, of("old", "A1"), at(900)), file("C1", "new", saw("A1"), instead("old"), at(100))),
			want:    "file new by C1",
		},
		{
			name: "a touch of the old content yields to both of two edits",
			records: records(
				touch("B1", 950, of("old", "A1"), at(900)),
				file("C1", "c", saw("A1"), instead("old"), at(100)),
				file("D1", "d", saw("A1"), instead("old"), at(200))),
			want: "file d by D1 beside file c by C1",
		},
		{
			name: "one edit's touched form yields to what replaced that edit, the other edit stays",
			records: records(
				touch("B2", 950, of("b", "B1"), at(900)),
				file("C1", "c", at(100)),
				file("D1", "b, better", saw("B1"), instead("b"), at(200))),
			want: "file b, better by D1 beside file c by C1",
		},
		{
			name: "an edit of an edit takes the touch of the first form along",
			records: records(
				touch("B1", 950, of("old", "A1"), at(900)),
				file("C2", "newest", saw("A1 C1"), instead("new"), at(100))),
			want: "file newest by C2",
		},
		{
			name:    "an unseen saving of the replaced content yields",
			records: records(file("B1", "old", at(900)), file("C1", "new", saw("A1"), instead("old"), at(100))),
			want:    "file new by C1",
		},
		{
			name: "going back to the old content yields to an edit of the old content",
			records: records(
				file("B2", "old", saw("A1 B1"), instead("draft"), at(900)),
				file("C1", "new", saw("A1"), instead("old"), at(100))),
			want: "file new by C1",
		},
		{
			name: "going back with open eyes wins over a touch of what was taken back",
			records: records(
				file("B1", "old", saw("A1 C1"), instead("new"), at(100)),
				touch("C2", 900, of("new", "C1"), saw("A1"), instead("old"), at(900))),
			want: "file old by B1",
		},
		{
			name: "opposite edits between the same two contents are a conflict",
			records: records(
				file("B1", "b", saw("A1"), instead("a"), at(100)),
				file("C1", "a", saw("D1"), instead("b"), at(200))),
			want: "file a by C1 beside file b by B1",
		},
		{
			name: "opposite resolves form a circle and stay a conflict",
			records: records(
				touch("C1", 500, of("a", "A1"), saw("A1 B1"), at(500)),
				touch("D1", 400, of("b", "B1"), saw("A1 B1"), at(400))),
			want: "file a by C1 beside file b by D1",
		},
		{
			name: "three resolves in a circle stay a conflict",
			records: records(
				touch("D1", 100, of("a", "A1"), saw("B1"), at(100)),
				touch("E1", 200, of("b", "B1"), saw("C1"), at(200)),
				touch("F1", 300, of("c", "C1"), saw("A1"), at(300))),
			want: "file c by F1 beside file b by E1, file a by D1",
		},
		{
			name: "of opposite resolves the one whose content was edited yields to the edit, the other stays",
			records: records(
				touch("C1", 500, of("a", "A1"), saw("A1 B1"), at(500)),
				touch("D1", 400, of("b", "B1"), saw("A1 B1"), at(400)),
				file("E1", "a, better", saw("A1"), instead("a"), at(300))),
			want: "file b by D1 beside file a, better by E1",
		},
		{
			name: "agreeing resolves are no conflict",
			records: records(
				touch("C1", 500, of("a", "A1"), saw("A1 B1"), at(500)),
				touch("D1", 400, of("a", "A1"), saw("A1 B1"), at(400))),
			want: "file a by C1",
		},

		// Equal content counts as one.
		{
			name:    "equal content saved twice counts as one",
			records: records(file("B1", "same", saw("A1"), at(200)), file("C1", "same", saw("A1"), at(300))),
			want:    "file same by C1",
		},
		{
			name:    "equal content of one moment is named by the greater dot",
			records: records(file("B1", "same", at(200)), file("C1", "same", at(200))),
			want:    "file same by C1",
		},
		{
			name: "a content survives if one of those that brought it was unseen",
			records: records(
				touch("B2", 950, of("same", "B1"), at(900)),
				file("D1", "same", at(50)),
				file("C1", "other", saw("B1"), instead("draft"), at(100))),
			want: "file other by C1 beside file same by D1",
		},
		{
			name:    "a symlink and a file of equal content bytes are two things",
			records: records(file("A1", "x", at(100)), symlink("B1", "x", at(200))),
			want:    "symlink x by B1 beside file x by A1",
		},

		// Kinds against kinds.
		{
			name:    "a file later than an empty folder wins, and the folder is not shown",
			records: records(folder("A1", at(100)), file("B1", "text", at(200))),
			want:    "file text by B1",
		},
		{
			name:    "an empty folder later than a file wins, and the file is kept beside it",
			records: records(folder("A1", at(300)), file("B1", "text", at(200))),
			want:    "folder by A1 beside file text by B1",
		},
		{
			name:     "a folder with living children wins over a later file",
			records:  records(folder("A1", at(100)), file("B1", "text", at(200))),
			children: true,
			want:     "folder by A1 beside file text by B1",
		},
		{
			name:     "children alone make a folder",
			children: true,
			want:     "folder by -",
		},
		{
			name:     "children alone make a folder of what was deleted",
			records:  records(remove("B1", saw("A1"))),
			children: true,
			want:     "folder by -; deleted by B1",
		},
		{
			name:     "children without a folder's record move a file and a symlink aside",
			records:  records(file("A1", "text", at(100)), symlink("B1", "target", at(200))),
			children: true,
			want:     "folder by - beside symlink target by B1, file text by A1",
		},
		{
			name:     "a file that replaced a folder stands aside while children live",
			records:  records(folder("A2", saw("A1"), from("A1"), at(50)), file("B1", "text", saw("A1"), at(200))),
			children: true,
			want:     "folder by A2 beside file text by B1",
		},
		{
			name:    "a file that replaced a folder survives the folder's deletion",
			records: records(file("B1", "text", saw("A1"), at(100)), remove("C1", saw("A1"), at(200))),
			want:    "file text by B1; deleted by C1",
		},
		{
			name:    "a folder made at once on two devices is one folder",
			records: records(folder("A1", at(100)), folder("B1", at(200))),
			want:    "folder by B1",
		},
		{
			name:    "an unseen new folder beats a deletion",
			records: records(folder("B1", saw("A1"), at(100)), remove("C1", saw("A1"), at(200))),
			want:    "folder by B1; deleted by C1",
		},
		{
			name:    "a chmod does not save a folder from deletion",
			records: records(folder("B1", saw("A1"), from("A1"), mode(0o700), at(300)), remove("C1", saw("A1"), at(200))),
			want:    "nothing; deleted by C1",
		},

		// Lineages.
		{
			name:    "a device restored from an image is concurrent with its former life",
			records: records(file("A8", "former", saw("A5"), instead("old"), at(300)), file("K1", "restored", instead("old"), at(400))),
			lineage: lineage("K<A5"),
			want:    "file restored by K1 beside file former by A8",
		},
		{
			name:    "a device restored from an image descends from what the image held",
			records: records(file("A5", "old", at(900)), file("K1", "new", instead("old"), at(100))),
			lineage: lineage("K<A5"),
			want:    "file new by K1",
		},
		{
			name:    "an edit by another device that saw the image's state is concurrent with the restored device",
			records: records(file("C1", "other", saw("A5"), at(300)), file("K1", "restored", at(400))),
			lineage: lineage("K<A5"),
			want:    "file restored by K1 beside file other by C1",
		},
		{
			name:    "a touch by the former life yields to an edit after the restore",
			records: records(touch("A8", 900, of("old", "A5"), at(900)), file("K1", "new", instead("old"), at(100))),
			lineage: lineage("K<A5"),
			want:    "file new by K1",
		},
		{
			name: "equal content in two lineages counts as one",
			records: records(
				file("A8", "same", saw("A5"), at(300)),
				file("K1", "same", at(400))),
			lineage: lineage("K<A5"),
			want:    "file same by K1",
		},
		{
			name:    "restored twice, the newest journal descends from the first",
			records: records(file("A3", "old", at(900)), file("L1", "new", at(100))),
			lineage: lineage("L<K2", "K<A5"),
			want:    "file new by L1",
		},
		{
			name:    "journals that claim to continue each other do not hide content",
			records: records(file("A1", "a", at(100)), file("K1", "k", at(200))),
			lineage: lineage("K<A5", "A<K5"),
			want:    "file k by K1 beside file a by A1",
		},

		// Forged or doubled records.
		{
			name:    "one record twice counts once",
			records: records(file("A1", "text"), file("A1", "text")),
			want:    "file text by A1",
		},
		{
			name:    "two forms of one record are both kept",
			records: records(file("A1", "one"), file("A1", "two")),
			want:    "file two by A1 beside file one by A1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := Resolve(tt.records, tt.lineage, tt.children)
			if got := sayAll(first); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			permutations(tt.records, func(order []Sibling) {
				if again := Resolve(order, tt.lineage, tt.children); !reflect.DeepEqual(again, first) {
					t.Errorf("another order of the records gives\n     %+v\nnot  %+v", again, first)
				}
			})
		})
	}
}

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
		file("D1", "old"),
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
