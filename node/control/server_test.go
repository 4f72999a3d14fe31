package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/control/controltest"
)

// running is a pretended device that answers on a socket, and a client of it.
type running struct {
	*controltest.Device
	client *control.Client
	root   string // of its folder
	stop   func() error
}

func run(t *testing.T) running {
	t.Helper()
	home, root := t.TempDir(), t.TempDir()
	d := controltest.New(root)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- d.Serve(ctx, home, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	client, err := control.NewClient(home, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := func() error {
		cancel()
		err := <-ended
		ended <- nil
		return err
	}
	t.Cleanup(func() {
		client.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return running{Device: d, client: client, root: root, stop: stop}
}

func TestEveryRequestReachesTheBackend(t *testing.T) {
	d := run(t)
	c, ctx := d.client, t.Context()
	d.Ask(control.Request{Device: controltest.DeviceID(8), Name: "tv", Role: "vault"})
	d.Ask(control.Request{Device: controltest.DeviceID(9), Name: "watch", Role: "member"})
	d.SetConflicts(control.Conflict{Folder: "Shoal", Path: "a", Copies: []control.Side{{Path: "b"}}})
	var errs []error
	ask := func(_ any, err error) { errs = append(errs, err) }
	do := func(err error) { errs = append(errs, err) }

	ask(c.AddFolder(ctx, "/data", "Songs"))
	ask(c.AddFolder(ctx, "/pictures/", ""))
	ask(c.JoinFolder(ctx, "Photos", "/photos"))
	ask(c.MoveFolder(ctx, controltest.FolderID(2), "/other"))
	do(c.Rescan(ctx, "Shoal"))
	do(c.Pause(ctx, "Shoal"))
	do(c.Resume(ctx, "Shoal"))
	do(c.Confirm(ctx, "Shoal", control.AnswerRestore))
	do(c.Set(ctx, "Shoal", map[string]string{"k": "v"}))
	do(c.RemoveFolder(ctx, "Photos"))
	ask(c.Invite(ctx, control.InviteSpec{Role: "reader", Expires: time.Hour, Yes: true}))
	do(c.Approve(ctx, "tv"))
	do(c.Deny(ctx, controltest.DeviceID(9)))
	do(c.RenameDevice(ctx, "phone", "mobile 2"))
	do(c.RevokeDevice(ctx, "mobile 2"))
	ask(c.Wait(ctx, control.WaitSpec{Timeout: time.Second, Peers: 3}))
	ask(c.Wait(ctx, control.WaitSpec{Timeout: time.Minute, Peers: control.AllPeers}))
	do(c.ResolveConflict(ctx, filepath.Join(d.root, "b"), control.KeepCopy))
	do(c.Stop(ctx))
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	want := []string{
		"AddFolder Songs", "AddFolder pictures", "JoinFolder Photos", "MoveFolder Photos", "Rescan Shoal", "Pause Shoal", "Resume Shoal",
		"Confirm Shoal restore", "Set Shoal map[k:v]", "RemoveFolder Photos", "Invite reader 1h0m0s true", "Approve tv", "Deny watch",
		"RenameDevice phone mobile 2", "RevokeDevice mobile 2", "Wait 1s 3", "Wait 1m0s -1", "ResolveConflict b copy", "Stop",
	}
	if got := d.Calls(); !slices.Equal(got, want) {
		t.Errorf("the backend was asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNamesWithOddCharactersReachTheBackend(t *testing.T) {
	d := run(t)
	for _, name := range []string{"a b", "100%", "ä?#&", "..."} {
		if _, err := d.client.AddFolder(t.Context(), "/x", name); err != nil {
			t.Fatal(err)
		}
		if err := d.client.Pause(t.Context(), name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"..", ".", "a/b", "a\x1bb", " a", strings.Repeat("a", 129), "\xff"} {
		if _, err := d.client.AddFolder(t.Context(), "/x", name); control.CodeOf(err) != control.CodeUsage {
			t.Errorf("a folder may be called %q: %v", name, err)
		}
		if err := d.client.Pause(t.Context(), name); err == nil {
			t.Errorf("there is a folder %q", name)
		}
	}
}

func TestErrorsOfTheBackendReachTheClientWithTheirCode(t *testing.T) {
	d := run(t)
	for _, code := range []control.Code{control.CodeFailed, control.CodeUsage, control.CodeTimeout, control.CodeRefused, control.CodeConflict} {
		d.Fail("Rescan", fmt.Errorf("look at the disk: %w", control.Errorf(code, "no <way>")))
		err := d.client.Rescan(t.Context(), "Shoal")
		if control.CodeOf(err) != code || err.Error() != "look at the disk: no <way>" {
			t.Errorf("%s came as %s: %v", code, control.CodeOf(err), err)
		}
	}
	d.Fail("Rescan", errors.New("disk on fire"))
	if err := d.client.Rescan(t.Context(), "Shoal"); control.CodeOf(err) != control.CodeFailed || err.Error() != "disk on fire" {
		t.Errorf("an error without a code came as %v", err)
	}
}

func TestAWaitThatTimesOutSaysWhatIsOwed(t *testing.T) {
	d := run(t)
	owed := []control.Owed{{Device: "phone", Folder: "Shoal", NeedFiles: 2, NeedBytes: 3, Message: "behind"}}
	d.Owe(owed...)
	_, err := d.client.Wait(t.Context(), control.WaitSpec{Timeout: time.Second, Peers: 1})
	var late *control.Error
	if !errors.As(err, &late) || late.Code != control.CodeTimeout || !reflect.DeepEqual(late.Owed, owed) {
		t.Errorf("got %#v", err)
	}
}

// handler answers without a socket.
func handler(t *testing.T) (*controltest.Device, http.Handler) {
	t.Helper()
	d := controltest.New("/home/ann/Shoal")
	s, err := control.NewServer(d.Backend(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d, s.Handler()
}

func TestRequestsThatMakeNoSenseDoNotReachTheBackend(t *testing.T) {
	d, h := handler(t)
	for _, row := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"no JSON", "POST", "/v1/folders", `dir=/x`, 400},
		{"an unknown field", "POST", "/v1/folders", `{"dir":"/x","size":1}`, 400},
		{"something after the document", "POST", "/v1/folders", `{"dir":"/x"}{}`, 400},
		{"half a document", "POST", "/v1/folders", `{"dir":"/x"`, 400},
		{"the wrong type", "POST", "/v1/wait", `{"peers":"many"}`, 400},
		{"too much", "POST", "/v1/folders", `{"dir":"/x"` + strings.Repeat(" ", control.MaxBody) + `}`, 400},
		{"a relative directory", "POST", "/v1/folders", `{"dir":"x"}`, 400},
		{"no directory", "POST", "/v1/folders/Photos/join", ``, 400},
		{"a directory with a NUL", "POST", "/v1/folders/Photos/join", `{"dir":"/a\u0000b"}`, 400},
		{"no answer", "POST", "/v1/folders/Shoal/confirm", `{}`, 400},
		{"no setting", "POST", "/v1/folders/Shoal/set", `{"settings":{}}`, 400},
		{"a setting without a name", "POST", "/v1/folders/Shoal/set", `{"settings":{"":"x"}}`, 400},
		{"a device called nothing", "POST", "/v1/devices/phone/rename", `{"name":""}`, 400},
		{"an unknown role", "POST", "/v1/invites", `{"role":"king"}`, 400},
		{"an invitation for ever", "POST", "/v1/invites", `{"expires":"9000h"}`, 400},
		{"an expired invitation", "POST", "/v1/invites", `{"expires":"-1m"}`, 400},
		{"a duration that is a number", "POST", "/v1/invites", `{"expires":600}`, 400},
		{"an owner without a question", "POST", "/v1/invites", `{"role":"owner","yes":true}`, 403},
		{"a wait of no time", "POST", "/v1/wait", `{"timeout":"-1s"}`, 400},
		{"a wait for fewer than none", "POST", "/v1/wait", `{"peers":-1}`, 400},
		{"a side that there is not", "POST", "/v1/conflicts/resolve", `{"path":"/home/ann/Shoal/a","keep":"mine"}`, 400},
		{"a path out of its folder", "POST", "/v1/conflicts/resolve", `{"folder":"Shoal","path":"../a","keep":"both"}`, 400},
		{"a path in no folder", "POST", "/v1/conflicts/resolve", `{"path":"/etc/passwd","keep":"both"}`, 404},
		{"a relative path", "POST", "/v1/conflicts/resolve", `{"path":"a","keep":"both"}`, 400},
		{"a folder that there is not", "POST", "/v1/folders/Nothing/pause", ``, 404},
		{"a device that there is not", "POST", "/v1/devices/nobody/revoke", ``, 404},
		{"a guest that there is not", "POST", "/v1/requests/nobody/approve", ``, 404},
		{"no number", "GET", "/v1/log?limit=all", ``, 400},
		{"an event before the first", "GET", "/v1/events?since=-1", ``, 400},
		{"a route that there is not", "GET", "/v1/secrets", ``, 404},
		{"a method that there is not", "PUT", "/v1/status", ``, 404},
		{"outside the API", "GET", "/", ``, 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(row.method, row.path, strings.NewReader(row.body)))
			var body struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("answer %q: %v", w.Body, err)
			}
			if w.Code != row.status || body.Error.Message == "" {
				t.Errorf("status %d, want %d: %+v", w.Code, row.status, body)
			}
		})
	}
	if calls := d.Calls(); len(calls) > 0 {
		t.Errorf("the backend was asked: %v", calls)
	}
}

func TestPathsCanBeGivenInsideAFolder(t *testing.T) {
	d, h := handler(t)
	d.SetConflicts(control.Conflict{Folder: "Shoal", Path: "a/b\xff"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/v1/conflicts/resolve", strings.NewReader(`{"folder":"Shoal","path":"a/b\udcff","keep":"both"}`)))
	if want := []string{"ResolveConflict a/b\xff both"}; w.Code != 200 || !slices.Equal(d.Calls(), want) {
		t.Errorf("status %d, asked %q, want %q: %s", w.Code, d.Calls(), want, w.Body)
	}
}

func TestConflictsCarryAbsolutePaths(t *testing.T) {
	d := run(t)
	d.SetConflicts(control.Conflict{Folder: "Shoal", Path: "a/b", Winner: control.Side{Path: "a/b"}, Copies: []control.Side{{Path: "a/c"}}})
	got, err := d.client.Conflicts(t.Context())
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	for abs, rel := range map[control.Path]string{got[0].Abs: "a/b", got[0].Winner.Abs: "a/b", got[0].Copies[0].Abs: "a/c"} {
		if want := filepath.Join(d.root, rel); string(abs) != want {
			t.Errorf("%s is %s", rel, abs)
		}
	}
}

func TestABackendMustBeComplete(t *testing.T) {
	b := controltest.New("/x").Backend()
	b.Pairing, b.Health = nil, nil
	_, err := control.NewServer(b, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "Pairing") || !strings.Contains(err.Error(), "Health") {
		t.Errorf("got %v", err)
	}
}

func TestTheServerEndsWithItsContextWhileRequestsRun(t *testing.T) {
	d := run(t)
	stream, err := d.client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Next(); control.CodeOf(err) != control.CodeNotRunning {
		t.Errorf("the stream ended with %v", err)
	}
	if _, err := d.client.Status(t.Context()); control.CodeOf(err) != control.CodeNotRunning {
		t.Errorf("afterwards: %v", err)
	}
}

func TestThePageNamesEveryRoute(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "control-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, pattern := range control.Routes() {
		if !strings.Contains(text, "`"+pattern+"`") {
			t.Errorf("docs/control-api.md does not tell of %s", pattern)
		}
	}
	for line := range strings.Lines(text) {
		cell, isRoute := strings.CutPrefix(line, "| `")
		pattern, _, _ := strings.Cut(cell, "`")
		if isRoute && strings.Contains(pattern, " /v1/") && !slices.Contains(control.Routes(), pattern) {
			t.Errorf("docs/control-api.md tells of %s, which is not there", pattern)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/folders", []byte(`{"dir":"/x","name":"y"}`))
	f.Add("POST", "/v1/folders/Shoal/set", []byte(`{"settings":{"a":"b"}}`))
	f.Add("POST", "/v1/wait", []byte(`{"timeout":"1s","peers":0}`))
	f.Add("POST", "/v1/conflicts/resolve", []byte(`{"folder":"Shoal","path":"\udcff","keep":"both"}`))
	f.Add("GET", "/v1/log?path=/home/ann/Shoal/%ff&limit=1", []byte(nil))
	f.Add("DELETE", "/v1/folders/%2e%2e", []byte(`null`))
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		r, err := http.NewRequest(method, "http://shoal"+target, strings.NewReader(string(body)))
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(r.URL.Path, "/v1/events") {
			return
		}
		_, h := handler(t)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 {
			return // the router cleans the path
		}
		raw, err := io.ReadAll(w.Body)
		if err != nil || !json.Valid(raw) {
			t.Fatalf("status %d: %q", w.Code, raw)
		}
	})
}
