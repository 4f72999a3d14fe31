package folder_test

import (
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
)

// A folder with more files than are planned at once gets another name, which the plan comes to before or after the old one. The
// old names must not be removed before their contents are at the new ones, or these have to be fetched again.
func TestABigFolderIsRenamedWithoutFetching(t *testing.T) {
	for _, to := range []string{"a", "m again", "z"} {
		if raceEnabled && to != "z" {
			continue // the run without the race detector has all three
		}
		t.Run(to, func(t *testing.T) {
			w := newWorld(t, disktest.Options{}, disktest.Options{})
			a, b := w.devices[0], w.devices[1]
			u := a.fs.User()
			for i := range folder.PlanWindow + 200 {
				dir := fmt.Sprintf("m/dir%02d", i/100)
				w.must(u.MkdirAll(dir))
				w.must(u.WriteFile(fmt.Sprintf("%s/file%d", dir, i), fmt.Sprint("content ", i)))
			}
			w.meet()
			w.must(u.Rename("m", to))
			a.look()
			w.exchange()
			for after := shoal.Path(""); ; {
				plan, err := b.eng.Plan(t.Context(), after)
				w.must(err)
				if len(plan.Jobs) > 0 {
					t.Fatalf("%d contents are to be fetched, %s the first", len(plan.Jobs), plan.Jobs[0].Path)
				}
				n, err := b.eng.Apply(t.Context(), plan)
				w.must(err)
				if after = plan.More; after == "" && n == 0 {
					break
				}
			}
			w.meet()
			if got, want := b.shows(), a.shows(); got != want {
				t.Errorf("it shows %d bytes of listing, want %d", len(got), len(want))
			}
		})
	}
}
