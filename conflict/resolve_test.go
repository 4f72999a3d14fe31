package conflict

import (
	"reflect"
	"testing"
)

// resolveCase is one row: what these records resolve to, in words.
type resolveCase struct {
	name     string
	records  []Sibling
	lineage  Lineage
	children bool
	want     string
}

// checkResolutions resolves every row, in every order of its records.
func checkResolutions(t *testing.T, tests []resolveCase) {
	t.Helper()
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

func TestOneRecordAndItsSuccessors(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
	})
}

func TestEditsAgainstEdits(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
	})
}

func TestEditsAgainstDeletions(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
			name:    "a content that comes from elsewhere is not what was deleted, even if it is equal",
			records: records(file("B1", "old", at(900)), remove("C1", saw("A1"), instead("old"), at(100))),
			want:    "file old by B1; deleted by C1",
		},
		{
			name: "what is swapped back to where it was moved away from stays",
			records: records(
				remove("A2", saw("A1"), instead("old")), // moved to another path, where C found it
				file("C1", "old", saw("B1"), instead("new"), at(900)),
				file("B1", "new", at(100)),
			),
			want: "file old by C1; deleted by A2",
		},
		{
			name:    "what was found by who joined is what was deleted",
			records: records(file("B1", "old", at(0)), remove("C1", saw("A1"), instead("old"), at(100))),
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
	})
}

func TestEqualContentCountsAsOne(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
			name:    "equal content of one moment is named by the greater dot even if the other was touched later",
			records: records(file("B1", "same", at(200), mtime(900)), file("C1", "same", at(200))),
			want:    "file same by C1",
		},
		{
			name:    "equal content is named by the later record even if that is only a touch",
			records: records(touch("B1", 950, of("same", "A1"), at(900)), file("C1", "same", saw("A1"), at(100))),
			want:    "file same by B1",
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
	})
}

func TestKindsAgainstKinds(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
			name: "a folder that yielded does not name the folder that stands",
			records: records(
				folder("A2", saw("A1"), from("A1"), at(900)),
				file("B1", "text", saw("A1"), at(200)),
				folder("C1", at(100))),
			children: true,
			want:     "folder by C1 beside file text by B1",
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
	})
}

func TestForgedAndDoubledRecords(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
	})
}
