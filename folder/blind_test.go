package folder_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/folder/watch"
)

// blindWatcher is told of nothing.
type blindWatcher struct{}

func (blindWatcher) Changed() <-chan struct{} { return nil }
func (blindWatcher) Take() watch.Dirty        { return watch.Dirty{} }
func (blindWatcher) Blind() (int, error)      { return 1, errors.New("no watches are left") }

func TestWhereNothingIsToldOfChangesTheFolderIsLookedAtMoreOften(t *testing.T) {
	d := newWorld(t, disktest.Options{}).devices[0]
	changed := make(chan struct{}, 1)
	s := folder.NewService(folder.ServiceConfig{Engine: d.eng, Watcher: blindWatcher{}, Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	reported := func() bool {
		return slices.ContainsFunc(s.Snapshot().Problems, func(p folder.Problem) bool { return p.Kind == "unwatched" })
	}
	for !reported() && ctx.Err() == nil {
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	if !reported() {
		t.Error("nobody is told")
	}
	cancel()
	<-ended
	if every := s.FullEveryNow(); every > time.Minute {
		t.Errorf("the folder is looked at every %v", every)
	}
}
