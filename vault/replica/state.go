package replica

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// state is how far a database and the ledger are the same. It lies in the database, as a note.
type state struct {
	at       ledger.Position
	made     time.Time // of the newest entry that was applied, by its author's clock
	clean    time.Time // when everything was told last
	settings []byte    // of the mesh's keeping, as the ledger has them; empty: not yet
	heads    []mesh.Hash
	told     map[shoal.FolderID]map[shoal.JournalID]shoal.Seq
	whole    map[shoal.FolderID]bool
}

const noteName = "ledger"

func newState(at ledger.Position) *state {
	return &state{at: at, told: map[shoal.FolderID]map[shoal.JournalID]shoal.Seq{}, whole: map[shoal.FolderID]bool{}}
}

// clone returns a copy that shares nothing that changes.
func (s *state) clone() *state {
	c := *s
	c.told, c.whole = make(map[shoal.FolderID]map[shoal.JournalID]shoal.Seq, len(s.told)), maps.Clone(s.whole)
	for f, js := range s.told {
		c.told[f] = maps.Clone(js)
	}
	return &c
}

func (s *state) tell(f shoal.FolderID, j shoal.JournalID, to shoal.Seq) {
	if s.told[f] == nil {
		s.told[f] = map[shoal.JournalID]shoal.Seq{}
	}
	s.told[f][j] = max(s.told[f][j], to)
}

// stateNote is the form of state in the database.
type stateNote struct {
	Number   uint32                          `json:"number"`
	Chain    string                          `json:"chain"`
	Made     time.Time                       `json:"made,omitzero"`
	Clean    time.Time                       `json:"clean,omitzero"`
	Settings []byte                          `json:"settings,omitempty"`
	Heads    []string                        `json:"heads,omitempty"`
	Told     map[string]map[string]shoal.Seq `json:"told,omitempty"`
	Whole    []string                        `json:"whole,omitempty"`
}

func (s *state) encode() ([]byte, error) {
	n := stateNote{
		Number: s.at.Number, Chain: hex.EncodeToString(s.at.Chain[:]), Made: s.made, Clean: s.clean, Settings: s.settings, Told: map[string]map[string]shoal.Seq{},
	}
	for _, h := range s.heads {
		n.Heads = append(n.Heads, hex.EncodeToString(h[:]))
	}
	for f, js := range s.told {
		m := make(map[string]shoal.Seq, len(js))
		for j, seq := range js {
			m[j.String()] = seq
		}
		n.Told[f.String()] = m
	}
	for f := range s.whole {
		n.Whole = append(n.Whole, f.String())
	}
	return json.Marshal(&n)
}

// decodeState is the inverse of encode.
func decodeState(raw []byte) (*state, error) {
	var n stateNote
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil, fmt.Errorf("read how far the ledger was applied: %w", err)
	}
	s := newState(ledger.Position{Number: n.Number})
	s.made, s.clean, s.settings = n.Made, n.Clean, n.Settings
	chain, err := hexHash(n.Chain)
	if err != nil {
		return nil, err
	}
	s.at.Chain = chain
	for _, h := range n.Heads {
		hash, err := hexHash(h)
		if err != nil {
			return nil, err
		}
		s.heads = append(s.heads, hash)
	}
	for f, js := range n.Told {
		folder, err := shoal.ParseFolderID(f)
		if err != nil {
			return nil, err
		}
		for j, seq := range js {
			journal, err := shoal.ParseJournalID(j)
			if err != nil {
				return nil, err
			}
			s.tell(folder, journal, seq)
		}
	}
	for _, f := range n.Whole {
		folder, err := shoal.ParseFolderID(f)
		if err != nil {
			return nil, err
		}
		s.whole[folder] = true
	}
	return s, nil
}

func hexHash(text string) (h [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(h) {
		return h, fmt.Errorf("hash %q: %w", text, shoal.ErrInvalid)
	}
	return [32]byte(raw), nil
}
