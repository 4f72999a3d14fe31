package control

import (
	"context"
	"net/http"

	"github.com/shoalmesh/shoal"
)

func getFolders(s *Server, r *http.Request) (any, error) {
	folders, err := s.backend.Folders.Folders(r.Context())
	return mapped(folders, Folder.withEmpties), err
}

func postFolder(s *Server, r *http.Request) (any, error) {
	var body addFolderRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	f, err := s.backend.Folders.AddFolder(r.Context(), string(body.Dir), body.Name)
	return f.withEmpties(), err
}

func postJoin(s *Server, r *http.Request) (any, error) {
	return s.folderInDir(r, s.backend.Folders.JoinFolder)
}

func postMove(s *Server, r *http.Request) (any, error) {
	return s.folderInDir(r, s.backend.Folders.MoveFolder)
}

// folderInDir answers for a folder that is named in the URL and gets the directory of the body.
func (s *Server) folderInDir(r *http.Request, act func(context.Context, shoal.FolderID, string) (Folder, error)) (any, error) {
	var body dirRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	id, err := s.folder(r)
	if err != nil {
		return nil, err
	}
	f, err := act(r.Context(), id, string(body.Dir))
	return f.withEmpties(), err
}

// folderAction answers for a folder that is named in the URL.
func folderAction(act func(Folders, context.Context, shoal.FolderID) error) handler {
	return func(s *Server, r *http.Request) (any, error) {
		id, err := s.folder(r)
		if err != nil {
			return nil, err
		}
		return nil, act(s.backend.Folders, r.Context(), id)
	}
}

// upkeepAction answers for a folder that is named in the URL.
func upkeepAction(act func(Upkeep, context.Context, shoal.FolderID) error) handler {
	return func(s *Server, r *http.Request) (any, error) {
		id, err := s.folder(r)
		if err != nil {
			return nil, err
		}
		return nil, act(s.backend.Upkeep, r.Context(), id)
	}
}

func postConfirm(s *Server, r *http.Request) (any, error) {
	var body confirmRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	id, err := s.folder(r)
	if err != nil {
		return nil, err
	}
	return nil, s.backend.Upkeep.Confirm(r.Context(), id, body.Answer)
}

func postSet(s *Server, r *http.Request) (any, error) {
	var body setRequest
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	id, err := s.folder(r)
	if err != nil {
		return nil, err
	}
	return nil, s.backend.Upkeep.Set(r.Context(), id, body.Settings)
}

// folder finds the folder that the URL names.
func (s *Server) folder(r *http.Request) (shoal.FolderID, error) {
	return s.names.folder(r.Context(), r.PathValue("name"))
}
