package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// deepPattern is the route of the deep check: one JSON document a line, first how far it is, each second, last what was found.
const deepPattern = "POST /v1/doctor/deep"

// deepPause is how often is told how far a deep check is.
const deepPause = time.Second

// DeepProgress tells how far a deep check is.
type DeepProgress struct {
	Folder     string `json:"folder"` // name of the one that is read
	Files      int64  `json:"files"`
	Bytes      int64  `json:"bytes"`
	TotalFiles int64  `json:"total_files"`
	TotalBytes int64  `json:"total_bytes"`
}

// Deep is what a deep check found.
type Deep struct {
	Files int64 `json:"files"` // read to the end
	Bytes int64 `json:"bytes"`
	// Damaged files hold something else than was recorded, though nobody changed them as far as the disk tells.
	Damaged []DeepFinding `json:"damaged"`
	Edited  int64         `json:"edited"` // changed by somebody and not recorded yet
	// Missing files were there when last looked at, and are not now.
	Missing    []DeepFinding `json:"missing"`
	Unreadable []DeepFinding `json:"unreadable"`
	Omitted    int64         `json:"omitted"` // findings that are too many for the lists
}

// DeepFinding is one file that is not as it should be, or with an empty path a folder that could not be checked.
type DeepFinding struct {
	Folder  string   `json:"folder"` // name
	Path    Path     `json:"path"`   // in the folder
	Message string   `json:"message"`
	Fix     string   `json:"fix"`     // what to do; empty when nothing
	Devices []string `json:"devices"` // names of others that are known to have the file as it was recorded
}

func (d Deep) withEmpties() Deep {
	for _, list := range []*[]DeepFinding{&d.Damaged, &d.Missing, &d.Unreadable} {
		*list = mapped(*list, func(f DeepFinding) DeepFinding {
			f.Devices = orEmpty(f.Devices)
			return f
		})
	}
	return d
}

// deepLine is one line of the answer; one of its fields is set.
type deepLine struct {
	Progress *DeepProgress `json:"progress,omitempty"`
	Deep     *Deep         `json:"deep,omitempty"`
	Failed   *errorBody    `json:"failed,omitempty"`
}

// streamDeep runs a deep check for as long as the client stays. One at a time: two would only slow each other down.
func (s *Server) streamDeep(w http.ResponseWriter, r *http.Request) {
	select {
	case s.deep <- struct{}{}:
	default:
		s.fail(w, Errorf(CodeFailed, "a deep check runs already"))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	send := func(line deepLine) {
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout))
		defer out.SetWriteDeadline(time.Time{})
		if err := errors.Join(enc.Encode(line), out.Flush()); err != nil {
			s.log.Debug("deep check not told", "err", err) // a client that has gone ends the request's context
		}
	}
	last := time.Now()
	found, err := s.backend.Health.DeepCheck(r.Context(), func(p DeepProgress) {
		if now := time.Now(); now.Sub(last) >= deepPause {
			last = now
			send(deepLine{Progress: &p})
		}
	})
	<-s.deep // before the answer: who has it may ask again
	if err != nil {
		body := newErrorBody(err)
		send(deepLine{Failed: &body})
		return
	}
	found = found.withEmpties()
	send(deepLine{Deep: &found})
}

// DeepCheck has every file read again. It takes as long as that takes; tell is called about once a second.
func (c *Client) DeepCheck(ctx context.Context, tell func(DeepProgress)) (Deep, error) {
	answer, err := c.send(ctx, http.MethodPost, "/v1/doctor/deep", nil)
	if err != nil {
		return Deep{}, err
	}
	defer answer.Body.Close()
	dec := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer))
	for {
		var line deepLine
		err := dec.Decode(&line)
		switch {
		case ctx.Err() != nil:
			return Deep{}, ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return Deep{}, Errorf(CodeNotRunning, "Shoal stopped before it had read everything")
		case err != nil:
			return Deep{}, fmt.Errorf("read answer of the daemon: %w", err)
		case line.Failed != nil:
			return Deep{}, line.Failed.asError()
		case line.Deep != nil:
			return *line.Deep, nil
		case line.Progress != nil:
			tell(*line.Progress)
		}
	}
}
