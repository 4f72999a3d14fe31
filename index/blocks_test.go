package index

import (
	"errors"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

func (d *device) find(id block.ID) []Place {
	d.world.t.Helper()
	var out []Place
	d.view(func(tx *Tx) (err error) {
		out, err = tx.FindBlock(id, 10)
		return err
	})
	return out
}

func TestBlocksAreFoundInFilesOnThisDiskOnly(t *testing.T) {
	w := newWorld(t, "a")
	a := w.devices[0]
	few, many := a.file("few", ""), a.file("many", "")
	few.Recipe = append(a.recipe("few", 2), a.recipe("few", 1)...) // the first block occurs twice
	many.Recipe = append(a.recipe("many", fewBlocks), few.Recipe[1])
	a.write(few, many)
	if got := a.find(few.Recipe[0].ID); len(got) != 0 {
		t.Errorf("before it is on disk: %v", got)
	}
	a.apply()
	if got := a.find(few.Recipe[0].ID); len(got) != 1 || got[0] != (Place{"few", 0, 100}) {
		t.Errorf("first block: %v", got)
	}
	if got := a.find(few.Recipe[1].ID); len(got) != 2 || got[0] != (Place{"few", 100, 101}) || got[1] != (Place{"many", 100 + 101 + 102 + 103, 101}) {
		t.Errorf("shared block: %v", got)
	}
	a.update(func(tx *Tx) error { return tx.SetBase("few", nil) })
	if got := a.find(few.Recipe[1].ID); len(got) != 1 || got[0].Path != "many" {
		t.Errorf("after it left the disk: %v", got)
	}
	a.check()
}

// While a newer version is fetched, the disk still has the older one, whose record is superseded.
func TestBlocksOfASupersededRecordAreStillFound(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	a.write(a.file("x", "one"))
	b.pull(a)
	b.apply()
	a.write(a.edit(a.file("x", "two")))
	b.pull(a)
	if got := b.find(a.recipe("one", 1)[0].ID); len(got) != 1 || got[0].Path != "x" {
		t.Errorf("places %v", got)
	}
	if base := b.base("x"); len(base.Recipe) != 1 || base.Recipe[0] != a.recipe("one", 1)[0] || base.Stat.Inode != 77 {
		t.Errorf("base %+v", base)
	}
	b.check()
}

func TestLongRecipeIsKeptWhileSomethingNamesIt(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	long := a.recipe("long", block.InlineRecipe+1)
	e := a.file("x", "")
	e.Recipe = long
	a.write(e)
	b.pull(a)
	s := b.desired("x")
	if s.Recipe != nil || len(s.RecipeParts) != 1 || s.Size != long.Size() || s.Content != a.desired("x").Content {
		t.Fatalf("desired before the recipe is here: %+v", s)
	}
	put := func(c block.ContentID, r block.Recipe) error {
		return b.f.Update(t.Context(), func(tx *Tx) error { return tx.PutRecipe(c, r) })
	}
	if err := put(s.Content, long[1:]); !errors.Is(err, ErrMismatch) {
		t.Errorf("another recipe: %v", err)
	}
	if err := b.f.Update(t.Context(), func(tx *Tx) error { return tx.SetBase("x", BaseOf(s, DiskStat{})) }); !errors.Is(err, shoal.ErrInvalid) {
		t.Errorf("base without the recipe: %v", err)
	}
	must(t, put(s.Content, long))
	if s = b.desired("x"); len(s.Recipe) != len(long) {
		t.Errorf("desired: %d blocks", len(s.Recipe))
	}
	b.apply()
	a.write(a.edit(a.file("x", "short")))
	b.pull(a)
	if base := b.base("x"); len(base.Recipe) != len(long) {
		t.Errorf("base: %d blocks", len(base.Recipe))
	}
	b.check()
	b.apply()
	b.view(func(tx *Tx) error {
		if _, ok, err := tx.Recipe(s.Content); ok || err != nil {
			t.Errorf("still kept: %v", err)
		}
		return nil
	})
	b.check()
}

// Blocks that a path has already keep the epoch that sealed them: a new epoch seals only what is new.
func TestBlocksKeepTheirEpoch(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := w.devices[0], w.devices[1]
	e := a.file("x", "")
	e.Recipe = a.recipe("x", 3)
	old := a.keys
	a.write(e)
	_, err := w.roster.NewEpoch(a.id, w.folder, w.now, w.chance)
	must(t, err)
	w.refresh()
	first, _ := old.Current()
	second, _ := a.keys.Current()
	e.Recipe = append(a.recipe("new", 1), e.Recipe[1:]...)
	a.write(a.edit(e))
	b.pull(a)
	for _, d := range w.devices {
		s := d.desired("x")
		for i, want := range []shoal.EpochID{second.ID, first.ID, first.ID} {
			if got := BlockEpoch(s.Epochs, s.Epoch, i); got != want {
				t.Errorf("block %d under %s, want %s", i, got, want)
			}
		}
		d.check()
	}
}
