package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
	"github.com/shoalmesh/shoal/node/welcome"
	"github.com/shoalmesh/shoal/p2p"
)

// create makes a mesh with this device as its first owner, and its first folder.
func (n *Node) create() error {
	dir := n.cfg.Dir
	if dir == "" {
		dir = n.cfg.DefaultDir
	}
	if dir == "" {
		return control.Errorf(control.CodeUsage, "say which folder to keep: shoal up DIR")
	}
	if err := n.checkFirstRoot(dir); err != nil {
		return err
	}
	entropy := make([]byte, 32)
	if _, err := rand.Read(entropy); err != nil {
		return err
	}
	words, err := mesh.NewPhrase(entropy)
	if err != nil {
		return err
	}
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		return err
	}
	if err := n.keepPhrase(words); err != nil {
		return err
	}
	r, err := mesh.Create(root, n.id, n.cfg.Name, rand.Reader, time.Now())
	if err != nil {
		return fmt.Errorf("make a mesh: %w", err)
	}
	id, err := r.AddFolder(n.id, filepath.Base(dir), time.Now(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return control.Errorf(control.CodeFailed, "can't make the folder %s: %w", dir, err)
	}
	if err := writeMarker(dir, id, n.self()); err != nil {
		return control.Errorf(control.CodeFailed, "can't write into %s: %w", dir, err)
	}
	if err := n.settings.Update(func(s *settingsDoc) {
		s.Name = n.cfg.Name
		s.Folders = []settingsFolderDoc{settingsFolder(id, dir, true)}
	}); err != nil {
		return err
	}
	n.created = true
	if err := n.roster.Replace(r); err != nil {
		return err
	}
	n.event(control.Event{Kind: control.EventFolder, Folder: filepath.Base(dir), Message: "A new mesh was made, with the folder " + dir + "."})
	return nil
}

// keepPhrase shows or writes the recovery phrase; until somebody has seen it, it stays in the home, readable by its owner only.
func (n *Node) keepPhrase(words string) error {
	seen := false
	switch {
	case n.cfg.RecoveryOut != "":
		if err := os.WriteFile(n.cfg.RecoveryOut, []byte(words+"\n"), 0o600); err != nil {
			return control.Errorf(control.CodeFailed, "can't write the recovery phrase: %w", err)
		}
		seen = true
	case n.cfg.ShowPhrase != nil:
		seen = n.cfg.ShowPhrase(words) == nil
	}
	if seen {
		return nil
	}
	return durable.Replace(n.cfg.file(phraseFile), []byte(words+"\n"))
}

// join asks the device behind a code or ticket to be admitted, and takes over what it gives.
func (n *Node) join(ctx context.Context) error {
	dir := n.cfg.Dir
	if dir == "" {
		dir = n.cfg.DefaultDir
	}
	if dir != "" {
		if err := n.checkFirstRoot(dir); err != nil {
			return err
		}
	}
	if t, err := p2p.ParseTicket(n.cfg.Join); err == nil && t.Vacant() {
		return control.Errorf(control.CodeUsage, "this is the ticket of a vault that waits for a mesh: give it to `shoal devices add-vault` on a device that is in one")
	}
	_, raw, err := n.host.Join(ctx, n.cfg.Join, p2p.Guest{Name: n.cfg.Name, HPKE: n.id.HPKEPublic()}, n.cfg.Progress)
	if err != nil {
		return joinError(err)
	}
	w, r, err := welcome.Parse(raw)
	if err != nil {
		return err
	}
	if t, err := p2p.ParseTicket(n.cfg.Join); err == nil && t.Mesh != r.Mesh() {
		return control.Errorf(control.CodeRefused, "the inviter gave the roster of another mesh than its ticket names")
	}
	if !r.State().Admitted(n.self()) {
		return control.Errorf(control.CodeRefused, "the inviter's roster does not admit this device")
	}
	if err := n.takeFirstFolder(w, dir); err != nil {
		return err
	}
	n.joining = true
	return n.roster.Replace(r)
}

func (n *Node) takeFirstFolder(w welcome.Welcome, dir string) error {
	id, err := shoal.ParseFolderID(w.Folder)
	if err != nil || dir == "" {
		return n.settings.Update(func(s *settingsDoc) { s.Name, s.Addresses, s.Folders = n.cfg.Name, w.Addresses, nil })
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return control.Errorf(control.CodeFailed, "can't make the folder %s: %w", dir, err)
	}
	if err := writeMarker(dir, id, n.self()); err != nil {
		return control.Errorf(control.CodeFailed, "can't write into %s: %w", dir, err)
	}
	return n.settings.Update(func(s *settingsDoc) {
		s.Name, s.Addresses = n.cfg.Name, w.Addresses
		s.Folders = []settingsFolderDoc{settingsFolder(id, dir, false)}
	})
}

// joinError says what a person can do about a failed join.
func joinError(err error) error {
	advice := map[error]string{
		p2p.ErrWrongCode:       "the code is wrong, and can't be tried again: make a new one with `shoal invite`",
		p2p.ErrExpired:         "the invitation has expired: make a new one with `shoal invite`",
		p2p.ErrUsed:            "the invitation was used already: make a new one with `shoal invite`",
		p2p.ErrDenied:          "the request was denied on the other device",
		p2p.ErrNotAdmitted:     "the other device could not admit this one: try again",
		p2p.ErrMalformedTicket: "this is neither a code nor a ticket: check that it is complete",
		p2p.ErrUnreachable:     "the inviter can't be reached: is it running, and on the same network?",
	}
	for sentinel, text := range advice {
		if !errors.Is(err, sentinel) {
			continue
		}
		code := control.CodeRefused
		switch sentinel {
		case p2p.ErrMalformedTicket:
			code = control.CodeUsage
		case p2p.ErrUnreachable, p2p.ErrNotAdmitted:
			code = control.CodeFailed
		}
		return control.Errorf(code, "%s", text)
	}
	return fmt.Errorf("join: %w", err)
}

// admit decides about a guest that has proved the secret of an invitation.
func (n *Node) admit(ctx context.Context, g p2p.Guest, auto bool) ([]byte, error) {
	me, ok := n.roster.State().Device(n.self())
	if !ok || me.Role != mesh.RoleOwner {
		return nil, p2p.ErrDenied
	}
	if !auto || g.Role == mesh.RoleOwner || g.Via != "ticket" { // a code is only a few bits: a person looks
		if err := n.askAboutGuest(ctx, g); err != nil {
			return nil, err
		}
	}
	w, err := n.admitNow(g)
	if err != nil {
		n.log.Error("admit a device", "name", g.Name, "err", err)
		return nil, err
	}
	n.event(control.Event{Kind: control.EventAdmitted, Device: n.deviceName(g.Device), Message: "was admitted as " + g.Role.String() + "."})
	n.rosterGrew()
	return w, nil
}

func (n *Node) askAboutGuest(ctx context.Context, g p2p.Guest) error {
	w := n.guests.arrive(g, time.Now())
	n.event(control.Event{Kind: control.EventRequest, Device: g.Name, Message: "asks to join as " + g.Role.String() + ". Answer with `shoal approve` or `shoal deny`."})
	n.changed.ring()
	if n.cfg.Ask == nil { // nobody sits here: at least the log says what is waited for
		n.log.Warn("a device asks to join; answer with `shoal approve` or `shoal deny`", "name", g.Name, "device", g.Device)
	}
	yes, err := w.ask(ctx, n.cfg.Ask)
	if err == nil && !yes {
		err = p2p.ErrDenied
		n.event(control.Event{Kind: control.EventDenied, Device: g.Name, Message: "was sent away."})
	}
	n.guests.leave(w, err)
	return err
}

// admitNow signs the admission and packs what the guest needs. A guest that asks again after a broken connection gets the same.
func (n *Node) admitNow(g p2p.Guest) ([]byte, error) {
	var w welcome.Welcome
	err := n.roster.Update(func(r *mesh.Roster) error {
		if !r.State().Admitted(g.Device) {
			name := g.Name
			if mesh.ValidateName(name) != nil {
				name = "device"
			}
			if err := r.Admit(n.id, g.Device, g.HPKE, name, g.Role, time.Now()); err != nil {
				return err
			}
		}
		w.Statements = r.Statements()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if fs := n.roster.State().Folders(); len(fs) > 0 {
		w.Folder = fs[0].ID.String()
	}
	w.Addresses = map[string][]string{n.self().String(): n.host.Addrs()}
	for _, d := range n.others() {
		if a := n.host.KnownAddrs(d.ID); len(a) > 0 {
			w.Addresses[d.ID.String()] = a
		}
	}
	n.host.LearnAddrs(g.Device, []string{g.Address})
	return json.Marshal(w)
}
