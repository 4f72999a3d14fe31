package folder_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// What was fetched for a path is not fetched again for the path's conflict copy: who had it may have gone meanwhile.
func TestWhatIsFetchedServesTheConflictCopy(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{}, disktest.Options{})
	winner, loser, third := w.devices[0], w.devices[1], w.devices[2]
	write(w, loser, "a", "written first")
	loser.look()
	loser.send(third)
	plan, err := third.eng.Plan(t.Context(), "")
	w.must(err)
	if len(plan.Jobs) != 1 {
		t.Fatalf("%d contents are assembled, want 1", len(plan.Jobs))
	}
	third.assemble(t.Context(), plan.Jobs[0])

	w.devices = []*device{winner, third} // the loser is gone
	w.tick(time.Second)
	write(w, winner, "a", "written then")
	w.meet()
	if got, want := third.texts(), []string{"written first", "written then"}; !slices.Equal(got, want) {
		t.Errorf("the third shows %q, want %q", got, want)
	}
	if got, want := winner.shows(), third.shows(); got != want {
		t.Errorf("the winner shows\n%s\nthe third\n%s", got, want)
	}
}
