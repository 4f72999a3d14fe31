package control

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
)

// answers gives one answer to every request.
type answers struct {
	status int
	body   []byte
}

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Request: r, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// FuzzAnswer: whatever listens at the socket, a client gets an answer or an error that has words, and a stream of events ends.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{}`))
	f.Add(200, []byte(`{"device":{"id":"x"},"folders":[{"path":"\udcff"}]}`))
	f.Add(200, []byte(`{"seq":1}{"seq":2}`))
	f.Add(404, []byte(`{"error":{"code":"not_found","message":"x"}}`))
	f.Add(500, []byte(`{"error":{}}`))
	f.Add(204, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		c, err := NewClient(t.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		c.http.Transport = answers{status, body}
		ctx := t.Context()
		_, serr := c.Status(ctx)
		_, lerr := c.Log(ctx, "", 10)
		for _, err := range []error{serr, lerr} {
			var coded *Error
			if err != nil && (err.Error() == "" || errors.As(err, &coded) && coded.Message == "") {
				t.Fatalf("an error without words: %#v", err)
			}
		}
		stream, err := c.Events(ctx)
		if err != nil {
			return
		}
		defer stream.Close()
		for range len(body) + 1 {
			if _, err := stream.Next(); err != nil {
				return
			}
		}
		t.Fatal("more events than bytes")
	})
}
