package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// eventsPattern is the route of the stream of events: one JSON document a line, for as long as both sides stay.
const eventsPattern = "GET /v1/events"

// streamEvents answers with the events after ?since=N, or with those to come when that is absent. Headers are sent at once:
// who has them has missed nothing from then on.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	since := s.backend.Events.LastEvent()
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			s.fail(w, Errorf(CodeUsage, "since %q is no number", text))
			return
		}
		since = n
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		s.fail(w, Errorf(CodeFailed, "%d programs read events already", maxStreams))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	if err := out.Flush(); err != nil {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	err := s.backend.Events.WatchEvents(r.Context(), since, func(e Event) error {
		// Writers that have no deadlines, as of other servers that mount the handler, wait for their reader.
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		defer out.SetWriteDeadline(time.Time{})
		return errors.Join(enc.Encode(e), out.Flush())
	})
	if err != nil {
		s.log.Debug("stream of events ended", "err", err)
	}
}
