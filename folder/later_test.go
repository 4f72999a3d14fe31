package folder

import (
	"slices"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

func TestWhatWasModifiedLastIsFetchedFirst(t *testing.T) {
	job := func(p shoal.Path, mtime int64) *Job {
		want := &index.State{}
		want.MTime = mtime
		return &Job{Path: p, want: want}
	}
	jobs := []*Job{job("a", 5), job("b", 9), job("c", 5), job("d", 7)}
	sortNewest(jobs)
	var got []shoal.Path
	for _, j := range jobs {
		got = append(got, j.Path)
	}
	if want := []shoal.Path{"b", "d", "a", "c"}; !slices.Equal(got, want) {
		t.Errorf("fetched in the order %q, want %q", got, want)
	}
}
