package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Limits of the server.
const (
	// MaxBody bounds the body of a request, in bytes. The longest is a path and a few words.
	MaxBody = 64 << 10
	// maxHeader bounds the head of a request, in bytes: a path of 4 KiB, percent-encoded, and room.
	maxHeader = 32 << 10
	// headerTimeout is how long a client may take to say what it wants.
	headerTimeout = 10 * time.Second
	// writeTimeout is how long a reader of events may leave one unread.
	writeTimeout = 30 * time.Second
	// shutdownTimeout is how long requests that run when the daemon stops may go on.
	shutdownTimeout = 5 * time.Second
	// maxStreams bounds the streams of events that are open at once.
	maxStreams = 64
)

// Server answers requests with a backend. It is safe for concurrent use; it keeps no state between requests.
type Server struct {
	backend Backend
	vault   VaultBackend // of a vault, instead of all but backend.Daemon and backend.Events
	names   names
	log     *slog.Logger
	mux     *http.ServeMux
	streams chan struct{} // one token for each open stream of events; full: more are refused
	deep    chan struct{} // a token while a deep check runs
}

// NewServer makes a server. The backend must be complete. It starts nothing.
func NewServer(b Backend, log *slog.Logger) (*Server, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	s := newServer(log, routes)
	s.backend, s.names = b, names{folders: b.Folders, devices: b.Devices, pairing: b.Pairing}
	s.mux.HandleFunc(deepPattern, s.streamDeep)
	return s, nil
}

// newServer makes a server that has no backend yet.
func newServer(log *slog.Logger, table []route) *Server {
	s := &Server{log: log, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams), deep: make(chan struct{}, 1)}
	for _, r := range table {
		s.mux.HandleFunc(r.pattern, s.answering(r.handle))
	}
	s.mux.HandleFunc(eventsPattern, s.streamEvents)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, notFoundf("there is no %s %s", r.Method, r.URL.Path))
	})
	return s
}

// Handler answers the routes of docs/control-api.md. Whoever mounts it elsewhere than on the control socket decides who may ask.
func (s *Server) Handler() http.Handler { return s.mux }

// Serve answers on l until ctx ends, then lets running requests end for a few seconds, closes l and returns nil; or returns
// the reason why it could not go on. When ctx ends, the contexts of running requests end too.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1) // sent once, by the function below
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(grace), server.Close())
	})
	err := server.Serve(l)
	if stop() {
		return errors.Join(fmt.Errorf("serve control socket: %w", err), server.Close())
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("stop control server: %w", err)
	}
	return nil
}

// answering makes an HTTP handler of one that returns what to answer as JSON, or an error. A nil answer becomes {}.
func (s *Server) answering(handle handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		answer, err := handle(s, r)
		if err != nil {
			s.fail(w, err)
			return
		}
		if answer == nil {
			answer = struct{}{}
		}
		s.write(w, http.StatusOK, answer)
	}
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, err error) {
	s.log.Debug("control request failed", "err", err)
	s.write(w, httpStatus(err), newErrorBody(err))
}

func (s *Server) write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(answer); err != nil {
		s.log.Debug("control answer not sent", "err", err)
	}
}

// validator is a request body that can say what is wrong with it; it may fill in defaults.
type validator interface{ Validate() error }

// decode reads the JSON body of r into body and validates it. An empty body is an empty document. Unknown fields, anything
// after the document and more than MaxBody bytes are CodeUsage.
func decode(r *http.Request, body validator) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(body)
	if errors.Is(err, io.EOF) {
		return body.Validate()
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the document")
		}
	}
	if err != nil {
		return Errorf(CodeUsage, "body of the request: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return body.Validate()
}
