package mesh

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh/internal/meshpb"
)

// Limits of one statement; docs/formats/roster.md lists them.
const (
	// MaxStatementBytes is the most that one statement takes, signature included.
	MaxStatementBytes = 64 << 10

	maxHeads       = 64
	maxLast        = 64   // "last statements that count" of one Role or Revoke
	maxCutLists    = 64   // cut lists that one Role or Revoke names
	maxCuts        = 1024 // journals in one cut list
	maxRecipients  = 1025 // of an epoch: 1,024 devices and the root
	maxChained     = 384  // other roots in an epoch's chain
	maxEnvelopes   = 48
	formatByte     = 1
	signatureBytes = 64
	labelStatement = "statement"
)

// kind says what a statement's payload holds. Numbers are part of the format and never reused.
type kind uint32

const (
	kindGenesis   kind = 1
	kindAdmit     kind = 2
	kindRole      kind = 3
	kindRevoke    kind = 4
	kindCuts      kind = 5
	kindFolder    kind = 6
	kindRename    kind = 7
	kindEpoch     kind = 8
	kindEnvelopes kind = 9
)

var kindNames = map[kind]string{
	kindGenesis: "genesis", kindAdmit: "admit", kindRole: "role", kindRevoke: "revoke", kindCuts: "cuts",
	kindFolder: "folder", kindRename: "rename", kindEpoch: "epoch", kindEnvelopes: "envelopes",
}

func (k kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// statement is a decoded statement. Immutable.
type statement struct {
	raw  []byte // as it travelled
	hash Hash

	// Covered by the signature.
	mesh     shoal.MeshID // zero in the genesis statement
	kind     kind
	signer   shoal.DeviceID
	previous Hash // zero in the signer's first statement
	heads    []Hash
	time     int64 // ns since 1970, by the signer's clock
	payload  payload
}

// meshID returns the mesh that the statement belongs to: for genesis, the one it begins.
func (s *statement) meshID() shoal.MeshID {
	if s.kind == kindGenesis {
		return shoal.MeshID(s.hash)
	}
	return s.mesh
}

// names returns all statements that have to be there before s: its signer knew them.
func (s *statement) names() []Hash {
	var out []Hash
	if s.previous != (Hash{}) {
		out = append(out, s.previous)
	}
	out = append(out, s.heads...)
	if t, ok := takingOf(s.payload); ok {
		out = append(out, t.last...)
		out = append(out, t.cutLists...)
	}
	return out
}

// body returns the part that is signed and hashed.
func (s *statement) body() []byte { return s.raw[1+signatureBytes:] }

func (s *statement) signatureHolds() bool {
	return Verify(s.signer, labelStatement, s.body(), s.raw[1:1+signatureBytes])
}

// sign encodes s, signs it and decodes the result, so that what leaves this function passed the same checks as what arrives.
func (s *statement) sign(by Signer) (*statement, error) {
	body, err := s.encodeBody()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 0, 1+signatureBytes+len(body))
	raw = append(raw, formatByte)
	raw = append(raw, by.Sign(labelStatement, body)...)
	return decodeStatement(append(raw, body...))
}

func (s *statement) encodeBody() ([]byte, error) {
	content, err := encodePayload(s.payload)
	if err != nil {
		return nil, err
	}
	m := &meshpb.Statement{
		Kind: uint32(s.kind), Signer: s.signer[:], Heads: hashBytes(s.heads), Time: s.time, Payload: content,
	}
	if s.mesh != (shoal.MeshID{}) {
		m.Mesh = s.mesh[:]
	}
	if s.previous != (Hash{}) {
		m.Previous = s.previous[:]
	}
	return marshal(m)
}

// decodeStatement decodes one statement as it travelled. It takes raw over. It does not check the signature. What it accepts
// is valid in itself and in the one encoding that the format allows: encoding it again gives the same bytes.
func decodeStatement(raw []byte) (*statement, error) {
	if len(raw) > MaxStatementBytes {
		return nil, fmt.Errorf("%d bytes: %w", len(raw), ErrTooLarge)
	}
	if len(raw) <= 1+signatureBytes || raw[0] != formatByte {
		return nil, fmt.Errorf("no statement of format %d: %w", formatByte, ErrMalformed)
	}
	s := &statement{raw: raw}
	s.hash = Hash(derive(contextStatement, s.body()))
	if err := s.decodeBody(); err != nil {
		return nil, fmt.Errorf("statement %s: %w", s.hash, err)
	}
	again, err := s.encodeBody()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, s.body()) {
		return nil, fmt.Errorf("statement %s: not in its one encoding: %w", s.hash, ErrMalformed)
	}
	return s, nil
}

func (s *statement) decodeBody() error {
	var m meshpb.Statement
	if err := unmarshal(s.body(), &m); err != nil {
		return err
	}
	var d decoder
	s.kind, s.time = kind(m.Kind), m.Time
	s.mesh = shoal.MeshID(d.optional("mesh", m.Mesh))
	s.signer = shoal.DeviceID(d.fixed("signer", m.Signer))
	s.previous = Hash(d.optional("previous", m.Previous))
	s.heads = d.hashes("heads", m.Heads, maxHeads)
	if d.err != nil {
		return d.err
	}
	p, err := decodePayload(s.kind, m.Payload)
	if err != nil {
		return fmt.Errorf("%s: %w", s.kind, err)
	}
	s.payload = p
	return s.Validate()
}

// Validate checks what must hold between the fields of one statement, whatever else is known.
func (s *statement) Validate() error {
	if err := s.signer.Validate(); err != nil {
		return fmt.Errorf("signer: %w: %w", ErrMalformed, err)
	}
	first := s.kind == kindGenesis
	switch {
	case s.kind == 0:
		return malformed("no kind")
	case first && (s.mesh != (shoal.MeshID{}) || len(s.names()) != 0):
		return malformed("genesis names something before it")
	case !first && s.mesh == (shoal.MeshID{}):
		return malformed("no mesh")
	case !first && s.previous == (Hash{}) && len(s.heads) == 0:
		return malformed("names no statement before it")
	case slices.Contains(s.heads, s.previous):
		return malformed("previous statement among the heads")
	}
	return s.payload.validate()
}

func malformed(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrMalformed)...)
}

// marshal encodes in the order of field numbers with defaults left out: with messages that have no maps, that is the only way.
func marshal(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return b, nil
}

func unmarshal(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
