package conflict

import "testing"

func TestYielding(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
	})
}

func TestRestoredDevices(t *testing.T) {
	checkResolutions(t, []resolveCase{
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
	})
}
