package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/welcome"
	"github.com/shoalmesh/shoal/p2p"
)

// Words is a recovery phrase that was understood: the root of a mesh. It is a secret.
type Words struct{ root *mesh.Root }

// MaxWords is the most that ReadWords need be given, in bytes.
const MaxWords = mesh.MaxPhraseBytes

// ReadWords understands a recovery phrase and overwrites text, whatever the outcome. An error says what is wrong, by the position of a word and
// never by its text.
func ReadWords(text []byte) (*Words, error) {
	defer clear(text)
	if len(text) > MaxWords {
		return nil, control.Errorf(control.CodeUsage, "a recovery phrase has 24 words; this is longer")
	}
	root, err := mesh.RootFromWords(text)
	if err != nil {
		return nil, control.Errorf(control.CodeUsage, "%w", err)
	}
	return &Words{root}, nil
}

// Recover asks for a mesh to be brought back from its recovery phrase.
type Recover struct {
	Words        *Words // used up: Run erases it
	Vault        string // address of a device or vault of the mesh
	RevokeOthers bool   // put out all devices but the peer and vaults, once their records are here
	Once         bool   // end when everything is here
}

// recovery is a Recover that this run carries out.
type recovery struct {
	peer shoal.DeviceID
	root *mesh.Root // nil when it is not needed any more
	once bool
}

// recover brings the mesh of the words back on this device, which is in none, from one peer.
func (n *Node) recover(ctx context.Context) error {
	dir := n.cfg.Dir
	if dir == "" {
		return control.Errorf(control.CodeUsage, "say where the files are to go: shoal recover DIR")
	}
	if err := n.checkFirstRoot(dir); err != nil {
		return err
	}
	asked := n.cfg.Recover
	if asked.Vault == "" {
		return control.Errorf(control.CodeUsage, "say where a device or vault of the mesh is: --vault ADDR, such as 192.0.2.7:4001; `shoal status --json` there lists its addresses")
	}
	root := asked.Words.root
	var roster *mesh.Roster
	peer, addr, err := n.host.Recover(ctx, p2p.Recovery{
		Addr: asked.Vault, Root: root, Progress: n.cfg.Progress,
		Admit: func(statements [][]byte) (admission [][]byte, err error) {
			roster, admission, err = n.admitSelf(root, statements)
			return admission, err
		},
	})
	if err != nil {
		return recoverError(err)
	}
	folders := n.placeFolders(roster, dir)
	if err := n.settings.Update(func(s *settingsDoc) {
		s.Name, s.Folders = n.cfg.Name, folders
		s.Addresses = map[string][]string{peer.String(): {addr}}
		s.PhraseSeen = true
	}); err != nil {
		return err
	}
	n.joining = true
	n.recovery = &recovery{peer: peer, once: asked.Once}
	if asked.RevokeOthers {
		n.recovery.root = root
	} else {
		root.Erase()
	}
	return n.roster.Replace(roster)
}

// admitSelf makes the statements with which this device is in the mesh of a roster that a peer gave.
func (n *Node) admitSelf(root *mesh.Root, statements [][]byte) (*mesh.Roster, [][]byte, error) {
	r, err := welcome.Roster(statements)
	if err != nil {
		return nil, nil, control.Errorf(control.CodeRefused, "the device at that address gave a roster that is not in order: %w", err)
	}
	before := r.Heads()
	_, err = r.Recover(root, n.self(), n.id.HPKEPublic(), n.cfg.Name, time.Now(), rand.Reader)
	if errors.Is(err, mesh.ErrOtherRoot) {
		return nil, nil, control.Errorf(control.CodeRefused, "the device at that address gave the roster of another mesh than that of the words")
	}
	if err != nil {
		return nil, nil, rosterError(err, "recover the mesh")
	}
	r.OpenNames(n.id)
	return r, r.Since(before), nil
}

// recoverKeys gives this device, which is in the mesh already, what the root can open and it cannot: after a recovery from a peer with an old roster.
func (n *Node) recoverKeys() error {
	root := n.cfg.Recover.Words.root
	defer root.Erase()
	if dir := n.cfg.Dir; dir != "" {
		known := false
		for _, f := range n.settings.Get().Folders {
			known = known || f.Path == dir
		}
		if !known {
			return control.Errorf(control.CodeUsage, "this home is in a mesh already, and %s is none of its folders: give one of them to get lacking keys from the words, or another --home to make a new device", dir)
		}
	}
	err := n.roster.Update(func(r *mesh.Roster) error {
		_, err := r.Recover(root, n.self(), n.id.HPKEPublic(), n.cfg.Name, time.Now(), rand.Reader)
		return err
	})
	if errors.Is(err, mesh.ErrOtherRoot) {
		return control.Errorf(control.CodeRefused, "this home is in another mesh than that of the words; use another --home to make a new device")
	}
	if err != nil {
		return rosterError(err, "recover keys")
	}
	if n.cfg.Recover.Once {
		n.recovery = &recovery{once: true}
	}
	return nil
}

// placeFolders decides where the folders go and prepares the places: the default one, the first of the mesh, in dir, the others beside it under their
// names. One that can't be placed is left out and said so; `shoal folder join` brings it later.
func (n *Node) placeFolders(r *mesh.Roster, dir string) []settingsFolderDoc {
	var out []settingsFolderDoc
	for i, f := range r.State().Folders() {
		at := dir
		if i > 0 {
			at = n.freePlace(filepath.Dir(dir), f)
		}
		if _, err := r.FolderKeys(n.id, f.ID); err != nil {
			n.cfg.Progress(fmt.Sprintf("The words do not open the folder %q: only a device that has its keys can give them.", f.Name))
			continue
		}
		err := checkMarker(at, f.ID, n.self()) // from a try that was broken off
		if err != nil {
			err = checkNewRoot(at, n.cfg.Home, out)
		}
		if err == nil {
			err = os.MkdirAll(at, 0o755)
		}
		if err == nil {
			err = writeMarker(at, f.ID, n.self())
		}
		if err != nil {
			n.cfg.Progress(fmt.Sprintf("The folder %q can't be put at %s: %v. Choose a place with: shoal folder join %q DIR", f.Name, at, err, f.Name))
			continue
		}
		n.cfg.Progress(fmt.Sprintf("The folder %q comes back in %s", f.Name, at))
		out = append(out, settingsFolder(f.ID, at, false))
	}
	return out
}

// freePlace returns a path in parent for a folder, where nothing is, or nothing but an empty directory, or this folder from a try that was broken off: what
// else stands there is nobody's to mix with what comes.
func (n *Node) freePlace(parent string, f mesh.Folder) string {
	safe := fileName(f.Name)
	for i := 1; ; i++ {
		at := filepath.Join(parent, safe)
		switch {
		case i == 2:
			at += " (recovered)"
		case i > 2:
			at += fmt.Sprintf(" (recovered %d)", i-1)
		}
		list, err := os.ReadDir(at)
		if errors.Is(err, os.ErrNotExist) || err == nil && len(list) == 0 || checkMarker(at, f.ID, n.self()) == nil || i == maxPlaces {
			return at
		}
	}
}

// fileName makes of a folder's name one that every file system takes.
func fileName(name string) string {
	safe := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\<>:"|?*`, r) {
			return '_'
		}
		return r
	}, name)
	safe = strings.TrimRight(safe, ". ") // Windows drops them
	if safe == "" || strings.HasPrefix(safe, ".") {
		safe = strings.TrimSpace("folder " + safe)
	}
	return safe
}

// maxPlaces bounds the search for a free name.
const maxPlaces = 1000

// recoverError says what a person can do about a recovery that failed.
func recoverError(err error) error {
	var known *control.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, p2p.ErrAddress):
		return control.Errorf(control.CodeUsage, "%w", err)
	case errors.Is(err, p2p.ErrUnreachable):
		return control.Errorf(control.CodeFailed, "nobody answers at that address: is the device or vault running, and is the address right? (%w)", err)
	case errors.Is(err, p2p.ErrUnknownMesh):
		return control.Errorf(control.CodeRefused, "the device at that address keeps no mesh of these words: they are those of another mesh, or the address is another one's")
	case errors.Is(err, p2p.ErrNoProof), errors.Is(err, p2p.ErrMalformed):
		return control.Errorf(control.CodeRefused, "the device at that address does not follow the protocol; try another one (%w)", err)
	case errors.Is(err, p2p.ErrNotTaken):
		return control.Errorf(control.CodeFailed, "the device at that address could not take this one in: look at its log, or try another one")
	}
	return fmt.Errorf("recover: %w", err)
}
