package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Status asks how everything stands.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	return out, c.do(ctx, http.MethodGet, "/v1/status", nil, &out)
}

// Stop asks the daemon to stop; it returns before it has. See WaitStopped.
func (c *Client) Stop(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/stop", nil, nil)
}

// Wait waits as WaitSpec says. A time-out is a CodeTimeout error whose Owed says what lacks.
func (c *Client) Wait(ctx context.Context, spec WaitSpec) (Waited, error) {
	body := waitRequest{Timeout: duration(spec.Timeout)}
	if spec.Peers != AllPeers {
		body.Peers = &spec.Peers
	}
	var out Waited
	return out, c.do(ctx, http.MethodPost, "/v1/wait", body, &out)
}

// Doctor examines the device.
func (c *Client) Doctor(ctx context.Context) ([]Check, error) {
	var out []Check
	return out, c.do(ctx, http.MethodGet, "/v1/doctor", nil, &out)
}

// Folders lists the folders of the mesh.
func (c *Client) Folders(ctx context.Context) ([]Folder, error) {
	var out []Folder
	return out, c.do(ctx, http.MethodGet, "/v1/folders", nil, &out)
}

// AddFolder makes a folder of the absolute directory dir. An empty name means the directory's.
func (c *Client) AddFolder(ctx context.Context, dir, name string) (Folder, error) {
	var out Folder
	return out, c.do(ctx, http.MethodPost, "/v1/folders", addFolderRequest{Dir: Path(dir), Name: name}, &out)
}

// JoinFolder begins to keep a folder of the mesh in the absolute directory dir.
func (c *Client) JoinFolder(ctx context.Context, name, dir string) (Folder, error) {
	var out Folder
	return out, c.do(ctx, http.MethodPost, folderPath(name, "/join"), dirRequest{Dir: Path(dir)}, &out)
}

// MoveFolder says that the root of a folder is now the absolute directory dir.
func (c *Client) MoveFolder(ctx context.Context, name, dir string) (Folder, error) {
	var out Folder
	return out, c.do(ctx, http.MethodPost, folderPath(name, "/move"), dirRequest{Dir: Path(dir)}, &out)
}

// RemoveFolder ends the keeping of a folder on this disk; its files stay.
func (c *Client) RemoveFolder(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, folderPath(name, ""), nil, nil)
}

// Rescan looks at the disk of a folder and returns when that is done.
func (c *Client) Rescan(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, folderPath(name, "/rescan"), nil, nil)
}

// Pause pauses a folder.
func (c *Client) Pause(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, folderPath(name, "/pause"), nil, nil)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, folderPath(name, "/resume"), nil, nil)
}

// Confirm answers the question of a mass deletion.
func (c *Client) Confirm(ctx context.Context, name string, answer Answer) error {
	return c.do(ctx, http.MethodPost, folderPath(name, "/confirm"), confirmRequest{Answer: answer}, nil)
}

// Set changes settings of a folder.
func (c *Client) Set(ctx context.Context, name string, settings map[string]string) error {
	return c.do(ctx, http.MethodPost, folderPath(name, "/set"), setRequest{Settings: settings}, nil)
}

// Devices lists the devices of the mesh.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	var out []Device
	return out, c.do(ctx, http.MethodGet, "/v1/devices", nil, &out)
}

// RenameDevice gives a device another name.
func (c *Client) RenameDevice(ctx context.Context, name, to string) error {
	return c.do(ctx, http.MethodPost, "/v1/devices/"+segment(name)+"/rename", renameRequest{Name: to}, nil)
}

// RevokeDevice puts a device out of the mesh for ever.
func (c *Client) RevokeDevice(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodPost, "/v1/devices/"+segment(name)+"/revoke", nil, nil)
}

// Invite makes a code and a ticket for one new device.
func (c *Client) Invite(ctx context.Context, spec InviteSpec) (Invite, error) {
	var out Invite
	body := inviteRequest{Role: spec.Role, Expires: duration(spec.Expires), Yes: spec.Yes}
	return out, c.do(ctx, http.MethodPost, "/v1/invites", body, &out)
}

// Requests lists the guests that ask to be admitted.
func (c *Client) Requests(ctx context.Context) ([]Request, error) {
	var out []Request
	return out, c.do(ctx, http.MethodGet, "/v1/requests", nil, &out)
}

// Approve admits a guest.
func (c *Client) Approve(ctx context.Context, guest string) error {
	return c.do(ctx, http.MethodPost, "/v1/requests/"+segment(guest)+"/approve", nil, nil)
}

// Deny sends a guest away.
func (c *Client) Deny(ctx context.Context, guest string) error {
	return c.do(ctx, http.MethodPost, "/v1/requests/"+segment(guest)+"/deny", nil, nil)
}

// Conflicts lists the conflicts.
func (c *Client) Conflicts(ctx context.Context) ([]Conflict, error) {
	var out []Conflict
	return out, c.do(ctx, http.MethodGet, "/v1/conflicts", nil, &out)
}

// ResolveConflict settles the conflict at an absolute path.
func (c *Client) ResolveConflict(ctx context.Context, abs string, keep Keep) error {
	return c.do(ctx, http.MethodPost, "/v1/conflicts/resolve", resolveRequest{Path: Path(abs), Keep: keep}, nil)
}

// Log returns the newest events, oldest first: at most limit of them, about the absolute path abs and what is under it unless
// that is empty.
func (c *Client) Log(ctx context.Context, abs string, limit int) ([]Event, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if abs != "" {
		query.Set("path", abs)
	}
	var out []Event
	return out, c.do(ctx, http.MethodGet, "/v1/log?"+query.Encode(), nil, &out)
}

// EventStream is an open stream of events. Close it.
type EventStream struct {
	body io.ReadCloser
	dec  *json.Decoder
}

// Events opens the stream of events from now on: when it returns, none is missed any more. The stream ends with ctx.
func (c *Client) Events(ctx context.Context) (*EventStream, error) {
	answer, err := c.send(ctx, http.MethodGet, "/v1/events", nil)
	if err != nil {
		return nil, err
	}
	return &EventStream{body: answer.Body, dec: json.NewDecoder(bufio.NewReader(answer.Body))}, nil
}

// Next waits for the next event. When the daemon stops, the error has CodeNotRunning.
func (s *EventStream) Next() (Event, error) {
	var e Event
	err := s.dec.Decode(&e)
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Event{}, Errorf(CodeNotRunning, "Shoal stopped")
	}
	return Event{}, fmt.Errorf("read events: %w", err)
}

// Close ends the stream. It may be called twice, and while Next waits.
func (s *EventStream) Close() error { return s.body.Close() }

// folderPath is the URL path of a folder and what is done to it.
func folderPath(name, action string) string { return "/v1/folders/" + segment(name) + action }

// segment escapes a name as one segment of a URL path. Dots too, where they would mean a directory.
func segment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
