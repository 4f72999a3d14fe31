package invite

import (
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/tyler-smith/go-bip39/wordlists"
	"github.com/zeebo/blake3"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

const (
	// TicketPrefix begins every ticket; the digit is the version.
	TicketPrefix = "shoal1"
	// MaxAddrs keeps tickets short enough to be typed in need, and QR codes small.
	MaxAddrs = 8
	// maxTicketText bounds a ticket's text, MaxAddrs long addresses included.
	maxTicketText = 4096
	// ticketSum is the number of check bytes: a mistyped ticket is refused before anything is dialed.
	ticketSum = 4
)

// BLAKE3 derive-key contexts of this package, all of them.
const (
	ctxTicketSum       = "shoal 2026-11-22 p2p ticket checksum v1"
	ctxInviteName      = "shoal 2026-11-22 p2p invite name v1"
	ctxTranscript      = "shoal 2026-11-22 p2p pairing transcript v1"
	ByGuest       Side = "shoal 2026-11-22 p2p guest confirmation v1"
	ByInviter     Side = "shoal 2026-11-22 p2p inviter confirmation v1"
)

// Side says whose confirmation is meant.
type Side string

// Secret is what proves an invite. It prints as a word, so that it cannot end in a log by accident.
type Secret [16]byte

// String hides the secret.
func (Secret) String() string { return "secret" }

// ticketText is the alphabet of tickets: base32 without padding (RFC 4648), printed in lower case and read in any, so
// that a QR code may hold it in its dense alphanumeric mode.
var ticketText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Ticket is what the text of a ticket says.
type Ticket struct {
	Inviter shoal.DeviceID
	Mesh    shoal.MeshID
	Role    mesh.Role // what the guest will be
	Expires time.Time // whole seconds, by the inviter's clock
	Addrs   []string  // of the inviter, without /p2p/

	Secret Secret // never to be shown or logged
}

// Vacancy is the mesh that the ticket of a vault names which keeps none yet and waits for one: its own ID, which is no hash of any genesis.
func Vacancy(vault shoal.DeviceID) shoal.MeshID { return shoal.MeshID(vault) }

// Vacant tells that the ticket leads to a vault that waits for a mesh, and into none.
func (t Ticket) Vacant() bool { return t.Mesh == Vacancy(t.Inviter) }

// Validate states the ranges.
func (t Ticket) Validate() error {
	if t.Inviter.Validate() != nil || t.Mesh == (shoal.MeshID{}) || t.Role.Validate() != nil || t.Expires.Unix() <= 0 {
		return fmt.Errorf("ticket lacks a field: %w", ErrMalformed)
	}
	if len(t.Addrs) > MaxAddrs {
		return fmt.Errorf("ticket with %d addresses: %w", len(t.Addrs), ErrMalformed)
	}
	for _, s := range t.Addrs {
		a, err := ma.NewMultiaddr(s)
		if err == nil {
			err = address.Check(a, false)
		}
		if err != nil {
			return fmt.Errorf("ticket address %q: %w", s, ErrMalformed)
		}
	}
	return nil
}

// Encode returns the ticket's text.
func (t Ticket) Encode() (string, error) {
	if err := t.Validate(); err != nil {
		return "", err
	}
	m := &wire.Ticket{Inviter: t.Inviter[:], Mesh: t.Mesh[:], Role: uint32(t.Role), Expires: t.Expires.Unix(), Secret: t.Secret[:]}
	for _, s := range t.Addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return "", fmt.Errorf("ticket address %q: %w", s, ErrMalformed)
		}
		m.Addrs = append(m.Addrs, a.Bytes())
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode ticket: %w", err)
	}
	return TicketPrefix + strings.ToLower(ticketText.EncodeToString(append(raw, checksum(raw)...))), nil
}

// ParseTicket reads a ticket's text; spaces around it and the case of letters do not matter. Error: ErrMalformed.
func ParseTicket(text string) (Ticket, error) {
	fault := func(why string) (Ticket, error) {
		return Ticket{}, fmt.Errorf("ticket: %s: %w", why, ErrMalformed)
	}
	text = strings.TrimSpace(text)
	if len(text) > maxTicketText {
		return fault("too long")
	}
	body, ok := strings.CutPrefix(strings.ToLower(text), TicketPrefix)
	if !ok {
		return fault("does not begin with " + TicketPrefix)
	}
	raw, err := ticketText.DecodeString(strings.ToUpper(body))
	if err != nil || len(raw) < ticketSum || strings.ToLower(ticketText.EncodeToString(raw)) != body {
		return fault("mistyped or cut off")
	}
	raw, sum := raw[:len(raw)-ticketSum], raw[len(raw)-ticketSum:]
	if !bytes.Equal(sum, checksum(raw)) {
		return fault("mistyped or cut off")
	}
	var m wire.Ticket
	if err := proto.Unmarshal(raw, &m); err != nil {
		return fault("unreadable")
	}
	return ticketFrom(&m)
}

// ticketFrom converts and validates.
func ticketFrom(m *wire.Ticket) (Ticket, error) {
	t := Ticket{Role: mesh.Role(min(m.Role, 255)), Expires: time.Unix(m.Expires, 0)}
	if len(m.Inviter) != len(t.Inviter) || len(m.Mesh) != len(t.Mesh) || len(m.Secret) != len(t.Secret) || len(m.Addrs) > MaxAddrs {
		return Ticket{}, fmt.Errorf("ticket: %w", ErrMalformed)
	}
	copy(t.Inviter[:], m.Inviter)
	copy(t.Mesh[:], m.Mesh)
	copy(t.Secret[:], m.Secret)
	for _, raw := range m.Addrs {
		a, err := address.Decode(raw)
		if err != nil {
			return Ticket{}, fmt.Errorf("ticket: %w", ErrMalformed)
		}
		t.Addrs = append(t.Addrs, a.String())
	}
	return t, t.Validate()
}

func checksum(raw []byte) []byte {
	var sum [ticketSum]byte
	blake3.DeriveKey(ctxTicketSum, raw, sum[:])
	return sum[:]
}

// Code is a spoken code: the nameplate is public, the words are the secret.
type Code struct {
	Plate uint32
	Words string // "word-word", lower case
}

const (
	codeWords = 2
	MaxPlate  = 9999
)

// String is the form that people say and type.
func (c Code) String() string { return fmt.Sprintf("%d-%s", c.Plate, c.Words) }

// wordSet is the 2,048 English words of BIP 39, which differ in their first four letters.
var wordSet = func() map[string]bool {
	set := make(map[string]bool, len(wordlists.English))
	for _, w := range wordlists.English {
		set[w] = true
	}
	return set
}()

// ParseCode reads a code; case does not matter, and spaces may stand for hyphens. A word that is not in the list is
// refused here, so that a slip of the keyboard does not cost the one guess. Error: ErrMalformed.
func ParseCode(text string) (Code, error) {
	fault := fmt.Errorf("code %q is not like 7-word-word: %w", "…", ErrMalformed)
	if len(text) > 100 {
		return Code{}, fault
	}
	parts := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == '-' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(parts) != 1+codeWords {
		return Code{}, fault
	}
	n, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil || n < 1 || n > MaxPlate {
		return Code{}, fault
	}
	for _, w := range parts[1:] {
		if !wordSet[w] {
			return Code{}, fault
		}
	}
	return Code{Plate: uint32(n), Words: strings.Join(parts[1:], "-")}, nil
}

// newWords draws two words; 2,048 divides 65,536, so all are equally likely.
func newWords(rand io.Reader) (string, error) {
	var b [2 * codeWords]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw words: %w", err)
	}
	var words []string
	for i := range codeWords {
		words = append(words, wordlists.English[binary.BigEndian.Uint16(b[2*i:])%uint16(len(wordlists.English))])
	}
	return strings.Join(words, "-"), nil
}

// RandomNumber draws a number that is not 0.
func RandomNumber(rand io.Reader) (uint64, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("draw number: %w", err)
		}
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n, nil
		}
	}
}
