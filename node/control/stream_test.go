package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

func TestAStreamBeginsWithWhatHappensNext(t *testing.T) {
	d := run(t)
	d.Happen(control.Event{Message: "before"})
	stream, err := d.client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	d.Happen(control.Event{Kind: control.EventApplied, Folder: "Shoal", Path: "a\xff", Device: "phone", Message: "after"})
	got, err := stream.Next()
	want := control.Event{Seq: 3, Time: controltest.Now, Kind: control.EventApplied, Folder: "Shoal", Path: "a\xff", Device: "phone", Message: "after"}
	if err != nil || got != want {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

func TestAStreamBeginsAfterTheEventThatIsNamed(t *testing.T) {
	d, h := handler(t)
	for _, message := range []string{"two", "three"} {
		d.Happen(control.Event{Message: message})
	}
	server := httptest.NewServer(h)
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/v1/events?since=1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var got []string
	lines := bufio.NewScanner(answer.Body)
	for len(got) < 2 && lines.Scan() {
		var e control.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%q is no event: %v", lines.Text(), err)
		}
		got = append(got, e.Message)
	}
	if !slices.Equal(got, []string{"two", "three"}) {
		t.Errorf("got %q", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	d := run(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range control.MaxStreams {
		stream, err := d.client.Events(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
	}
	if _, err := d.client.Events(ctx); control.CodeOf(err) != control.CodeFailed {
		t.Errorf("one more: %v", err)
	}
	if _, err := d.client.Status(ctx); err != nil {
		t.Errorf("other requests are still answered: %v", err)
	}
}
