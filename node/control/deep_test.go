package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

func TestADeepCheckAnswers(t *testing.T) {
	d := run(t)
	d.SetDeep(control.Deep{Files: 3, Bytes: 4, Edited: 1, Omitted: 2, Damaged: []control.DeepFinding{{Folder: "Shoal", Path: "a\xff"}}})
	found, err := d.client.DeepCheck(t.Context(), func(control.DeepProgress) { t.Error("a check of a moment tells how far it is") })
	if err != nil || found.Files != 3 || found.Bytes != 4 || found.Edited != 1 || found.Omitted != 2 || len(found.Damaged) != 1 || found.Damaged[0].Path != "a\xff" {
		t.Errorf("%+v (%v)", found, err)
	}
	if found.Missing == nil || found.Unreadable == nil || found.Damaged[0].Devices == nil {
		t.Errorf("null in %+v", found)
	}
	d.Fail("DeepCheck", control.Errorf(control.CodeRefused, "no"))
	if _, err := d.client.DeepCheck(t.Context(), nil); control.CodeOf(err) != control.CodeRefused || err.Error() != "no" {
		t.Errorf("failed with %v", err)
	}
}

// slowHealth is a deep check that lasts until its context ends.
type slowHealth struct {
	*controltest.Device
	began chan struct{}
	ended chan error
}

func (h *slowHealth) DeepCheck(ctx context.Context, _ func(control.DeepProgress)) (control.Deep, error) {
	h.began <- struct{}{}
	<-ctx.Done()
	h.ended <- ctx.Err()
	return control.Deep{}, ctx.Err()
}

func TestADeepCheckEndsWithItsCallerAndIsTheOnlyOne(t *testing.T) {
	h := &slowHealth{Device: controltest.New(t.TempDir()), began: make(chan struct{}), ended: make(chan error)}
	backend := h.Backend()
	backend.Health = h
	s, err := control.NewServer(backend, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	first := make(chan struct{})
	go func() {
		defer close(first)
		r := httptest.NewRequestWithContext(ctx, "POST", "/v1/doctor/deep", nil)
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-h.began
	second := httptest.NewRecorder()
	s.Handler().ServeHTTP(second, httptest.NewRequest("POST", "/v1/doctor/deep", nil))
	if second.Code == 200 || !strings.Contains(second.Body.String(), "runs already") {
		t.Errorf("a second one: %d, %s", second.Code, second.Body)
	}
	cancel()
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	<-first
}
