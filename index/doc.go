// Package index keeps what is known of every folder: entries, records, journals, heads, frontiers, and for each path one row
// that says what should be there.
//
// # Words
//
//   - An [Entry] is what is known of one path. A [Record] is an entry in a journal; it travels sealed, with a clear part that
//     lets others keep it without reading it (docs/formats/record.md).
//   - A [Head] is a device's signed statement how far its journal reaches and what its live records hash to
//     (docs/formats/head.md). A [Batch] is records and the head that they lead to.
//   - A [Row] is everything about one path: its live records, the [Base] (what is on this device's disk), and what follows
//     from them. A [State] is what should be at a path.
//   - A [DB] holds all folders of one device (docs/database.md), a [Folder] is one of them, a [Tx] is one transaction.
//
// # Laws
//
//   - What a path should hold is a pure function of the valid live records of all journals and of the lineage. Rows only cache
//     it; Check recomputes it.
//   - Nothing is accepted that does not add up to a signed head. What is accepted is accepted whole or not at all.
//   - A record that cannot be read counts in the digests, is reported as a [Problem], holds its path as it is, and stops
//     nothing else.
//   - A seq is never used twice: a journal is written only after OpenJournal or ContinueJournal in this run.
//   - What Update did is durable when it returns nil.
//   - No operation loads a folder whole, but for Check.
//
// # In short
//
//	db, err := index.Open(path, index.Options{})
//	folder, err := db.Folder(id, index.FolderConfig{…})
//	err = folder.Update(ctx, func(tx *index.Tx) error {
//		if err := tx.OpenJournal(); err != nil { // once in each run
//			return err
//		}
//		_, err := tx.Append([]index.Entry{{Path: "a/b.txt", Kind: shoal.KindFile, Mode: 0o644, Recipe: recipe}})
//		return err
//	})
//	err = folder.View(func(tx *index.Tx) error {
//		batch, err := tx.ReadAfter(journal, after, 1<<20) // for another device, which calls Accept
//		…
//	})
//
// # What it does not do
//
// It reads no disk but its own database, starts no goroutine and knows no network. It does not decide what to record, fetch or
// apply: packages folder and indexexchange do.
package index
