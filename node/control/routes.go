package control

import (
	"context"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/shoalmesh/shoal"
)

// handler answers one request: with something that becomes JSON, or with an error.
type handler func(s *Server, r *http.Request) (any, error)

// route is one line of the table; the pattern is that of http.ServeMux.
type route struct {
	pattern string
	handle  handler
}

// routes is everything that the server answers but the stream of events and the deep check, which are not one document. The page
// docs/control-api.md names each of them; a test compares.
var routes = []route{
	{"GET /v1/status", getStatus},
	{"POST /v1/stop", postStop},
	{"POST /v1/wait", postWait},
	{"GET /v1/doctor", getDoctor},

	{"GET /v1/folders", getFolders},
	{"POST /v1/folders", postFolder},
	{"DELETE /v1/folders/{name}", folderAction(Folders.RemoveFolder)},
	{"POST /v1/folders/{name}/join", postJoin},
	{"POST /v1/folders/{name}/move", postMove},
	{"POST /v1/folders/{name}/rescan", upkeepAction(Upkeep.Rescan)},
	{"POST /v1/folders/{name}/pause", upkeepAction(Upkeep.Pause)},
	{"POST /v1/folders/{name}/resume", upkeepAction(Upkeep.Resume)},
	{"POST /v1/folders/{name}/confirm", postConfirm},
	{"POST /v1/folders/{name}/set", postSet},

	{"GET /v1/devices", getDevices},
	{"POST /v1/devices/{name}/rename", postRename},
	{"POST /v1/devices/{name}/revoke", postRevoke},
	{"POST /v1/vaults", postVault},
	{"POST /v1/invites", postInvite},
	{"GET /v1/requests", getRequests},
	{"POST /v1/requests/{device}/approve", guestAction(Pairing.Approve)},
	{"POST /v1/requests/{device}/deny", guestAction(Pairing.Deny)},

	{"GET /v1/conflicts", getConflicts},
	{"POST /v1/conflicts/resolve", postResolve},
	{"GET /v1/log", getLog},
}

func getStatus(s *Server, r *http.Request) (any, error) {
	status, err := s.backend.Daemon.Status(r.Context())
	return status.withEmpties(), err
}

func postStop(s *Server, r *http.Request) (any, error) {
	return nil, s.backend.Daemon.Stop(r.Context())
}

func postWait(s *Server, r *http.Request) (any, error) {
	var body waitRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	owed, err := s.backend.Daemon.Wait(r.Context(), body.spec())
	if err != nil {
		return nil, err
	}
	if len(owed) > 0 {
		late := Errorf(CodeTimeout, "not done after %s", body.spec().Timeout)
		late.Owed = owed
		return nil, late
	}
	return Waited{Done: true, Owed: []Owed{}}, nil
}

func getDoctor(s *Server, r *http.Request) (any, error) {
	checks, err := s.backend.Health.Doctor(r.Context())
	return orEmpty(checks), err
}

func getDevices(s *Server, r *http.Request) (any, error) {
	devices, err := s.backend.Devices.Devices(r.Context())
	return mapped(devices, Device.withEmpties), err
}

func postRename(s *Server, r *http.Request) (any, error) {
	var body renameRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	id, err := s.names.device(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return nil, s.backend.Devices.RenameDevice(r.Context(), id, body.Name)
}

func postRevoke(s *Server, r *http.Request) (any, error) {
	id, err := s.names.device(r.Context(), r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return nil, s.backend.Devices.RevokeDevice(r.Context(), id)
}

func postInvite(s *Server, r *http.Request) (any, error) {
	var body inviteRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return s.backend.Pairing.Invite(r.Context(), body.spec())
}

func getRequests(s *Server, r *http.Request) (any, error) {
	requests, err := s.backend.Pairing.Requests(r.Context())
	return orEmpty(requests), err
}

// guestAction answers for a guest that is named in the URL.
func guestAction(act func(Pairing, context.Context, shoal.DeviceID) error) handler {
	return func(s *Server, r *http.Request) (any, error) {
		id, err := s.names.guest(r.Context(), r.PathValue("device"))
		if err != nil {
			return nil, err
		}
		return nil, act(s.backend.Pairing, r.Context(), id)
	}
}

func getConflicts(s *Server, r *http.Request) (any, error) {
	conflicts, err := s.backend.Conflicts.Conflicts(r.Context())
	if err != nil {
		return nil, err
	}
	folders, err := s.backend.Folders.Folders(r.Context())
	if err != nil {
		return nil, err
	}
	roots := make(map[string]Path, len(folders))
	for _, f := range folders {
		roots[f.Name] = f.Path
	}
	return mapped(conflicts, func(c Conflict) Conflict { return c.under(roots[c.Folder]) }), nil
}

// under fills in the absolute paths.
func (c Conflict) under(root Path) Conflict {
	abs := func(p Path) Path { return Path(filepath.Join(string(root), filepath.FromSlash(string(p)))) }
	c.Abs = abs(c.Path)
	c.Winner.Abs = abs(c.Winner.Path)
	c.Copies = mapped(c.Copies, func(side Side) Side {
		side.Abs = abs(side.Path)
		return side
	})
	return c
}

func postResolve(s *Server, r *http.Request) (any, error) {
	var body resolveRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	at, err := s.names.place(r.Context(), body.Folder, body.Path)
	if err != nil {
		return nil, err
	}
	return nil, s.backend.Conflicts.ResolveConflict(r.Context(), at, body.Keep)
}

func getLog(s *Server, r *http.Request) (any, error) {
	query := r.URL.Query()
	limit := DefaultLog
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLog {
			return nil, Errorf(CodeUsage, "limit %q: it is 1 to %d", text, maxLog)
		}
		limit = n
	}
	var at *Location
	if query.Has("path") || query.Has("folder") {
		found, err := s.names.place(r.Context(), query.Get("folder"), Path(query.Get("path")))
		if err != nil {
			return nil, err
		}
		at = &found
	}
	events, err := s.backend.Events.Log(r.Context(), at, limit)
	return orEmpty(events), err
}

// mapped returns a list with f of each item; never nil.
func mapped[T any](list []T, f func(T) T) []T {
	out := make([]T, 0, len(list))
	for _, item := range list {
		out = append(out, f(item))
	}
	return out
}
