package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index/kv"
)

// openFile opens a database file with the world's clock and chance.
func (d *device) openFile(path string) error {
	db, err := Open(path, Options{Clock: d.world.clock, Rand: d.world.chance, NoSync: true})
	if err == nil {
		d.open(db)
	}
	return err
}

func TestDatabaseSurvivesReopening(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	path := filepath.Join(t.TempDir(), "db")
	must(t, a.openFile(path))
	a.write(a.file("x", "one"))
	b.write(b.file("y", "two"))
	a.pull(b)
	a.apply()
	number := a.db.Number()
	must(t, a.db.Close())
	must(t, a.openFile(path))
	if a.db.Number() != number || a.base("x") == nil || a.desired("y") == nil || len(a.frontier()) != 2 {
		t.Error("something is lost")
	}
	folders, err := a.db.Folders()
	if err != nil || len(folders) != 1 || folders[0] != w.folder {
		t.Errorf("folders %v: %v", folders, err)
	}
	a.check()
	must(t, a.db.Close())
	if err := a.f.View(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}

func TestOpenTellsWhyItCannot(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	must(t, a.openFile(path))
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("in use: %v", err)
	}
	must(t, a.db.store.Update(func(tx kv.Tx) error {
		tx.Bucket(metaBucket).Put([]byte(metaFormat), []byte{99})
		return nil
	}))
	must(t, a.db.Close())
	if _, err := Open(path, Options{}); !errors.Is(err, ErrVersion) {
		t.Errorf("newer format: %v", err)
	}
	must(t, os.WriteFile(path, []byte(strings.Repeat("rubbish ", 10_000)), 0o600))
	if _, err := Open(path, Options{}); !isDamage(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("rubbish: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none", "db"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
}

func isDamage(err error) bool {
	_, ok := errors.AsType[*DamagedError](err)
	return ok
}

// What does not decode is reported as damage, by whatever method meets it.
func TestNonsenseInTheDatabaseIsDamage(t *testing.T) {
	for bucket, use := range map[int]func(*Tx) error{
		bRows:     func(tx *Tx) error { return second(tx.Base("x")) },
		bRecords:  func(tx *Tx) error { return second(tx.Desired("x")) },
		bJournals: func(tx *Tx) error { tx.Frontier(); return nil },
		bEpochs:   func(tx *Tx) error { return second(tx.Desired("x")) },
		bStatuses: func(tx *Tx) error { _, _, err := tx.Status(tx.config.Identity.Device()); return err },
	} {
		t.Run(bucketNames[bucket], func(t *testing.T) {
			w := newWorld(t, "a")
			a := w.devices[0]
			a.write(a.file("x", "one"))
			a.apply()
			a.signStatus(true)
			a.update(func(tx *Tx) error {
				k, _ := tx.bucket(bucket).Cursor().Seek(nil)
				tx.bucket(bucket).Put(k, []byte{1, 2, 3})
				return nil
			})
			if err := a.f.View(use); !isDamage(err) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestDroppedFolderIsForgotten(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.write(a.file("x", "one"))
	must(t, a.db.DropFolder(w.folder))
	must(t, a.db.DropFolder(w.folder))
	if folders, err := a.db.Folders(); err != nil || len(folders) != 0 {
		t.Errorf("folders %v: %v", folders, err)
	}
	a.open(a.db)
	if a.desired("x") != nil || len(a.frontier()) != 0 {
		t.Error("something is left")
	}
	a.check()
}

func TestUpdatesFromManyGoroutinesAllCount(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	must(t, a.openFile(filepath.Join(t.TempDir(), "db")))
	a.update(func(tx *Tx) error { return tx.OpenJournal() })
	changed := errors.New("changed my mind")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 10 {
				p := shoal.Path(fmt.Sprintf("%d/%d", g, i))
				err := a.f.Update(t.Context(), func(tx *Tx) error {
					if _, err := tx.Append([]Entry{a.file(p, "x")}); err != nil || i%3 > 0 {
						return err
					}
					return changed
				})
				if (i%3 > 0 && err != nil) || (i%3 == 0 && !errors.Is(err, changed)) {
					t.Errorf("%s: %v", p, err)
				}
			}
		})
	}
	wg.Wait()
	id, _ := a.own()
	if got := a.frontier()[id].Seq; got != 8*6 {
		t.Errorf("reached %d", got)
	}
	a.check()
	must(t, a.db.Close())
}

func TestCrashLosesOnlyWhatWasNotSynced(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	a.open(OpenMemory(Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	a.write(a.file("x", "one"))
	must(t, a.db.Sync())
	a.write(a.file("y", "two"))
	a.open(a.db.Crash())
	if a.desired("x") == nil || a.desired("y") != nil {
		t.Error("wrong one lost")
	}
	a.check()
}

// Check must notice whatever is changed behind the back of the rows.
func TestCheckNoticesWhatIsWrong(t *testing.T) {
	spoilValue := func(bucket, at int) func(*Tx) error {
		return func(tx *Tx) error {
			k, v := tx.bucket(bucket).Cursor().Seek(nil)
			v = append([]byte(nil), v...)
			v[(at+len(v))%len(v)] ^= 1
			tx.bucket(bucket).Put(k, v)
			return nil
		}
	}
	remove := func(bucket int) func(*Tx) error {
		return func(tx *Tx) error {
			k, _ := tx.bucket(bucket).Cursor().Seek(nil)
			tx.bucket(bucket).Delete(k)
			return nil
		}
	}
	for name, spoil := range map[string]func(*Tx) error{
		"ARecordChanged":      spoilValue(bRecords, -1),
		"ARecordsHash":        spoilValue(bRecords, 5),
		"ARecordGone":         remove(bRecords),
		"ASlotGone":           remove(bSlots),
		"ADigestChanged":      spoilValue(bDigests, 0),
		"ADigestGone":         remove(bDigests),
		"ARowGone":            remove(bRows),
		"ANeedGone":           remove(bNeeds),
		"AConflictGone":       remove(bConflicts),
		"AFollowGone":         remove(bFollows),
		"APlaceGone":          remove(bBlocks),
		"ARecipeGone":         remove(bRecipes),
		"ATotalChanged":       func(tx *Tx) error { s := tx.mustSums(); s.files++; s.changed = true; return nil },
		"ARowWithoutItsKids":  func(tx *Tx) error { return spoilRow(tx, "d", func(r *rowData) { r.kids = 7 }) },
		"ARowThatDoesNotLive": func(tx *Tx) error { return spoilRow(tx, "d/x", func(r *rowData) { r.lives = false }) },
		"ARowWithoutItsClaim": func(tx *Tx) error { return spoilRow(tx, string(copyName0(tx)), func(r *rowData) { r.claims = nil }) },
		"ARecordTwiceInItsRow": func(tx *Tx) error {
			return spoilRow(tx, "d/x", func(r *rowData) { r.live = append(r.live, r.live[0]) })
		},
		"ARecordInAnotherRow": func(tx *Tx) error {
			d, err := tx.row("d")
			if err != nil {
				return err
			}
			return spoilRow(tx, "d/x", func(r *rowData) { r.live[0] = d.live[0] })
		},
		"ARowThatIsHeld":     func(tx *Tx) error { return spoilRow(tx, "d/x", func(r *rowData) { r.held = []hold{{1, 1}} }) },
		"AProblemNotCounted": func(tx *Tx) error { tx.bucket(bProblems).Put(problemKey("p", "k"), []byte{2, 'm'}); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "a", "b")
			a, b := w.devices[0], w.devices[1]
			long := a.file("long", "")
			long.Recipe = a.recipe("long", 70)
			a.write(Entry{Path: "d", Kind: shoal.KindFolder, Mode: 0o755}, a.file("d/x", "one"), long, a.file("m", "m"))
			a.apply()
			a.write(a.edit(a.file("d/x", "two")), a.edit(Entry{Path: "m", Kind: shoal.KindTombstone, MovedTo: "n"}))
			b.write(b.file("d/x", "three"), b.file("m", "other"), b.file("needed", "x"))
			a.pull(b)
			a.check()
			a.update(spoil)
			if err := a.db.Check(t.Context()); err == nil {
				t.Error("not noticed")
			}
		})
	}
}

func spoilRow(tx *Tx, p string, spoil func(*rowData)) error {
	row, err := tx.row(shoal.Path(p))
	if err != nil || row == nil {
		return fmt.Errorf("row %q: %w", p, err)
	}
	spoil(row)
	tx.bucket(bRows).Put(pathKey(shoal.Path(p)), row.encode())
	return nil
}

func copyName0(tx *Tx) shoal.Path {
	row, _, err := tx.Row("d/x")
	if err != nil || len(row.Copies) == 0 {
		panic(err)
	}
	return row.Copies[0]
}
