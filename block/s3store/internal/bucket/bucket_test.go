package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

func TestMain(m *testing.M) { os.Exit(s3test.Main(m)) }

// rig is an empty bucket behind a line of its own.
type rig struct {
	line *s3test.Line
	url  string
	b    *Bucket
}

func newRig(t *testing.T) *rig {
	t.Helper()
	line := s3test.NewLine(t)
	r := &rig{line: line, url: line.Bucket(t) + "/some/prefix"}
	r.b = r.open(t, r.url)
	return r
}

func (r *rig) open(t *testing.T, url string) *Bucket {
	t.Helper()
	target, err := ParseURL(url)
	must(t, err)
	b, err := Open(Config{Target: target, Tries: 4, Pause: time.Millisecond, Timeout: 20 * time.Second})
	must(t, err)
	t.Cleanup(b.Close)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestObjectsAreKeptAndListed(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	for i := range 5 {
		_, err := r.b.Put(ctx, fmt.Sprintf("a/%d", i), []byte{byte(i)}, Always)
		must(t, err)
	}
	_, err := r.b.Put(ctx, "b", []byte("b"), Always)
	must(t, err)
	data, etag, err := r.b.Get(ctx, "a/3", 1)
	if err != nil || !bytes.Equal(data, []byte{3}) || etag == "" {
		t.Errorf("got %q, %q, %v", data, etag, err)
	}
	must(t, r.b.Delete(ctx, "a/1"))
	must(t, r.b.Delete(ctx, "a/1"))
	if _, _, err := r.b.Get(ctx, "a/1", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	items, err := r.b.List(ctx, "a/", "a/0")
	if err != nil || len(items) != 3 || items[0].Name != "a/2" || items[0].Size != 1 || time.Since(items[2].Modified) > time.Hour {
		t.Errorf("listed %v, %v", items, err)
	}
}

func TestAListingGoesOnWhereItEnded(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	const n = MaxList + 30
	for i := range n {
		_, err := r.b.Put(ctx, fmt.Sprintf("a/%04d", i), []byte{1}, Always)
		must(t, err)
	}
	first, err := r.b.List(ctx, "a/", "")
	if err != nil || len(first) != MaxList {
		t.Fatalf("first: %d, %v", len(first), err)
	}
	rest, err := r.b.List(ctx, "a/", first[MaxList-1].Name)
	if err != nil || len(rest) != n-MaxList || rest[0].Name != fmt.Sprintf("a/%04d", MaxList) {
		t.Fatalf("rest: %d, %v", len(rest), err)
	}
}

func TestRangesAreExact(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	must(t, r.b.Upload(ctx, "big", bytes.NewReader(content), int64(len(content))))
	got, err := r.b.GetRange(ctx, "big", 123_456, 654_321)
	if err != nil || !bytes.Equal(got, content[123_456:][:654_321]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, tt := range []struct{ off, n int64 }{{999_999, 2}, {1_000_000, 1}, {2_000_000, 5}} {
		if _, err := r.b.GetRange(ctx, "big", tt.off, tt.n); !errors.Is(err, ErrAnswer) {
			t.Errorf("%d bytes at %d: %v", tt.n, tt.off, err)
		}
	}
	if _, _, err := r.b.Get(ctx, "big", 999_999); !errors.Is(err, ErrSize) {
		t.Errorf("object above the limit: %v", err)
	}
}

func TestOnlyOneOfManyConditionalWritesWins(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	etag, err := r.b.Put(ctx, "x", []byte("first"), Absent)
	must(t, err)
	for _, c := range []Condition{Absent, "0123456789abcdef0123456789abcdef"} {
		if _, err := r.b.Put(ctx, "x", []byte("second"), c); !errors.Is(err, ErrChanged) {
			t.Errorf("condition %s: %v", c, err)
		}
	}
	if _, err := r.b.Put(ctx, "nothing", []byte("x"), Condition(etag)); !errors.Is(err, ErrChanged) {
		t.Errorf("etag of nothing: %v", err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := r.b.Put(ctx, "x", fmt.Append(nil, "by ", i), Condition(etag))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, ErrChanged) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

// first returns a fault for the first n requests that match.
func first(n int, method string, f s3test.Fault) func(*http.Request) s3test.Fault {
	var seen atomic.Int32
	return func(r *http.Request) s3test.Fault {
		if r.Method != method || seen.Add(1) > int32(n) {
			return s3test.Fault{}
		}
		return f
	}
}

func TestALostAnswerIsNoLostRace(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.line.Fail(first(1, "PUT", s3test.Fault{LoseAnswer: true}))
	etag, err := r.b.Put(ctx, "x", []byte("mine"), Absent)
	must(t, err)
	if _, got, err := r.b.Get(ctx, "x", 10); err != nil || got != etag {
		t.Errorf("etag %s, want %s (%v)", got, etag, err)
	}
	r.line.Fail(first(1, "PUT", s3test.Fault{LoseAnswer: true}))
	if _, err := r.b.Put(ctx, "x", []byte("other"), Absent); !errors.Is(err, ErrChanged) {
		t.Errorf("another's object: %v", err)
	}
	r.line.Fail(nil)
	if _, err := r.b.Put(ctx, "x", []byte("mine"), Absent); !errors.Is(err, ErrChanged) {
		t.Errorf("equal bytes without a lost answer: %v", err)
	}
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	for name, f := range map[string]s3test.Fault{
		"500": {Status: 500}, "503": {Status: 503}, "429": {Status: 429}, "lost": {LoseAnswer: true}, "cut": {Cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			r, ctx := newRig(t), t.Context()
			content := bytes.Repeat([]byte("x"), 100_000)
			r.line.Fail(first(3, "PUT", f))
			must(t, r.b.Upload(ctx, "x", bytes.NewReader(content), int64(len(content))))
			r.line.Fail(first(3, "GET", f))
			got, err := r.b.GetRange(ctx, "x", 0, 100_000)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("range: %v", err)
			}
			r.line.Fail(first(3, "GET", f))
			if _, _, err := r.b.Get(ctx, "x", 100_000); err != nil {
				t.Errorf("whole: %v", err)
			}
			r.line.Fail(first(3, "GET", f))
			if _, err := r.b.List(ctx, "", ""); err != nil {
				t.Errorf("list: %v", err)
			}
			r.line.Fail(first(1000, "GET", f))
			if _, err := r.b.GetRange(ctx, "x", 0, 100_000); err == nil {
				t.Errorf("more often than it is tried: %v", err)
			}
		})
	}
}

func TestAnEndedContextEndsTheAttempts(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	r.line.Fail(func(*http.Request) s3test.Fault { cancel(); return s3test.Fault{Status: 500} })
	if _, _, err := r.b.Get(ctx, "x", 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTooLongAnswersAreNotKept(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	_, err := r.b.Put(ctx, "x", []byte("0123456789"), Always)
	must(t, err)
	r.line.Fail(func(*http.Request) s3test.Fault { return s3test.Fault{Longer: true} })
	if _, _, err := r.b.Get(ctx, "x", 1000); !errors.Is(err, ErrSize) {
		t.Errorf("whole: %v", err)
	}
	if _, err := r.b.GetRange(ctx, "x", 2, 3); !errors.Is(err, ErrAnswer) {
		t.Errorf("range: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	if _, err := r.open(t, strings.Replace(r.url, "bucket-", "no-bucket-", 1)).Put(ctx, "x", []byte("x"), Always); !errors.Is(err, ErrNoBucket) {
		t.Errorf("missing bucket: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	_, _, err := r.open(t, r.url).Get(ctx, "x", 1)
	if !errors.Is(err, ErrCredentials) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong secret: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	target, err := ParseURL(r.url)
	must(t, err)
	if _, err := Open(Config{Target: target}); !errors.Is(err, ErrCredentials) {
		t.Errorf("no credentials: %v", err)
	}
}
