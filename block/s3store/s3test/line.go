package s3test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// Fault is what a Line does to one request. The zero value passes it on.
type Fault struct {
	Status     int  // answers this and does not ask the server; 0: asks it
	LoseAnswer bool // the server does what was asked, and the connection ends without an answer
	Cut        bool // the answer's body ends in its middle
	Longer     bool // more bytes follow the answer than were asked for; its length says so
	Garbled    bool // a bit of the answer's body is another

	Before func() // called before the server is asked
	After  func() // called when it has answered, before the answer goes on
}

// Line is a port on loopback in front of the server, and what happens to requests on their way. Safe for concurrent use.
type Line struct {
	server *Server
	http   *httptest.Server

	mu   sync.Mutex
	fail func(*http.Request) Fault // guarded by mu
}

var buckets atomic.Int64

// NewLine opens a line to the shared server. It ends with the test.
func NewLine(t testing.TB) *Line {
	t.Helper()
	l := &Line{server: Shared(t)}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "s3test"})
			r.Out.Host = r.In.Host // it is signed
			r.Out.Header["X-Forwarded-For"] = nil
		},
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", l.server.socket)
			},
			DisableCompression: true, MaxIdleConnsPerHost: 32,
		},
		ModifyResponse: func(r *http.Response) error { return spoil(r) },
		ErrorLog:       log.New(io.Discard, "", 0), // of answers that were cut on purpose
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	l.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.serve(proxy, w, r) }))
	t.Cleanup(func() {
		l.http.CloseClientConnections()
		l.http.Close()
		proxy.Transport.(*http.Transport).CloseIdleConnections()
	})
	return l
}

// Bucket makes a new bucket and returns its URL on this line.
func (l *Line) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	if err := os.Mkdir(filepath.Join(l.server.root, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return l.http.URL + "/" + name
}

// Dir returns the directory with the objects of the bucket at a URL that Bucket returned: to look at them, or to damage them.
func (l *Line) Dir(t testing.TB, bucketURL string) string {
	t.Helper()
	u, err := url.Parse(bucketURL)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(l.server.root, u.Path)
}

// Fail lets fn choose what happens to each request from now on; nil passes all. fn must be safe for concurrent use.
func (l *Line) Fail(fn func(*http.Request) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fn
}

type faultKey struct{}

func (l *Line) serve(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	fail := l.fail
	l.mu.Unlock()
	var f Fault
	if fail != nil {
		f = fail(r)
	}
	if f.Before != nil {
		f.Before()
	}
	if f.Status != 0 {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`) // of a write that succeeds, and nobody carried out
		w.WriteHeader(f.Status)
		return
	}
	proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, f)))
}

// spoil does to an answer what its request's fault says.
func spoil(r *http.Response) error {
	f := r.Request.Context().Value(faultKey{}).(Fault)
	if f.After != nil {
		f.After()
	}
	switch {
	case f.LoseAnswer:
		return errors.New("lost") // becomes http.ErrAbortHandler
	case f.Longer:
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(r.Body, io.LimitReader(zeros{}, 1<<20)), r.Body}
		r.ContentLength += 1 << 20
		r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	case f.Cut, f.Garbled:
		data, err := io.ReadAll(r.Body)
		if err != nil || len(data) == 0 {
			return err
		}
		if f.Garbled {
			data[len(data)/2] ^= 1
		} else {
			data = data[:len(data)/2]
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{&once{data: data, cut: f.Cut}, r.Body}
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// once reads data; then, if cut, it fails, so that the connection ends.
type once struct {
	data []byte
	cut  bool
}

func (o *once) Read(p []byte) (int, error) {
	n := copy(p, o.data)
	if o.data = o.data[n:]; n > 0 || len(p) == 0 {
		return n, nil
	}
	if o.cut {
		return 0, io.ErrUnexpectedEOF
	}
	return 0, io.EOF
}
