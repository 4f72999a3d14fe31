package folder_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/folder"
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

// A job that was dropped may go on for a while. It and the one in its place never write one file.
func TestADroppedJobKeepsItsTemporaryFileToItself(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	writer, reader := w.devices[0], w.devices[1]
	begin := func(text string) *folder.Job {
		t.Helper()
		write(w, writer, "a", text)
		w.tick(time.Second)
		writer.look()
		writer.send(reader)
		reader.eng.DropUnwanted()
		plan, err := reader.eng.Plan(t.Context(), "")
		w.must(err)
		if len(plan.Jobs) != 1 {
			t.Fatalf("%d contents are assembled, want 1", len(plan.Jobs))
		}
		_, err = plan.Jobs[0].Begin(t.Context())
		w.must(err)
		return plan.Jobs[0]
	}
	first := begin("one")
	second := begin("another")
	if !first.Abandoned() {
		t.Fatal("what is not wanted any more is still assembled")
	}
	third := begin("one")
	temps := map[string]bool{folder.Temp(first): true, folder.Temp(second): true, folder.Temp(third): true}
	if len(temps) != 3 {
		t.Errorf("three jobs, none of which has ended, write %v", temps)
	}
	for _, j := range []*folder.Job{first, second} {
		reader.eng.Forget(j)
	}
	reader.assemble(t.Context(), third)
	reader.work()
	if got := reader.texts(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("the reader shows %q", got)
	}
	if fourth := begin("another"); folder.Temp(fourth) != folder.Temp(second) {
		t.Error("what a job that has ended had fetched is not found again")
	}
}

// A long file that is mostly on this disk is read by one goroutine and written by another: it is the same, asks for nothing that is here, and what the
// disk does not take ends both.
func TestALongFileIsFilledFromThisDiskBesideItsReading(t *testing.T) {
	w := newWorld(t, disktest.Options{}, disktest.Options{})
	writer, reader := w.devices[0], w.devices[1]
	reader.workers = 2
	reader.start()
	r := rand.New(rand.NewPCG(1, 2))
	old := make([]byte, 12<<20)
	for i := range old {
		old[i] = byte(r.Uint32())
	}
	copy(old[5<<20:], make([]byte, 1<<20)) // equal blocks, and a hole
	write(w, writer, "a", string(old))
	w.meet()

	edited := string(old[:7<<20]) + "an edit" + string(old[7<<20:])
	write(w, writer, "a", edited)
	w.tick(time.Second)
	writer.look()
	writer.send(reader)
	begin := func() ([]folder.Want, *folder.Job, error) {
		plan, err := reader.eng.Plan(t.Context(), "")
		w.must(err)
		if len(plan.Jobs) != 1 {
			t.Fatalf("%d contents are assembled, want 1", len(plan.Jobs))
		}
		wants, err := plan.Jobs[0].Begin(t.Context())
		return wants, plan.Jobs[0], err
	}
	writes := 0
	reader.fs.Fail = func(op, _ string) error {
		if op != "write" {
			return nil
		}
		if writes++; writes == 5 {
			return syscall.EIO
		}
		return nil
	}
	_, job, err := begin()
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("a write that failed is %v", err)
	}
	reader.eng.Forget(job)
	reader.fs.Fail = nil

	wants, job, err := begin()
	w.must(err)
	if len(wants) == 0 || len(wants) > 3 {
		t.Errorf("%d blocks are asked for, after an edit of seven bytes", len(wants))
	}
	reader.eng.Forget(job)
	w.meet()
	if got := reader.texts(); !slices.Equal(got, []string{edited}) {
		t.Errorf("the reader shows %d texts, not the edited one", len(got))
	}
}
