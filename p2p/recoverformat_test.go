package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// Golden vectors: transcript, signature.
func TestGoldenRecoverProof(t *testing.T) {
	t.Parallel()
	entropy := make([]byte, 32)
	words, _ := mesh.NewPhrase(entropy)
	root, err := mesh.RootFromPhrase(words)
	if err != nil {
		t.Fatal(err)
	}
	tr := &recoverTranscript{Device: shoal.DeviceID{1}, Peer: shoal.DeviceID{2}, Root: root.Device(), DeviceNonce: [32]byte{3}, PeerNonce: [32]byte{4}}
	raw, err := os.ReadFile("testdata/recover.txt")
	if err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		var transcript, signature []byte
		if _, err := fmt.Sscanf(f[1]+" "+f[2], "%x %x", &transcript, &signature); err != nil {
			t.Fatal(err)
		}
		holds := mesh.Verify(root.Device(), recoverLabel, transcript, signature)
		if f[0] == "valid" {
			valid++
			if !holds || !bytes.Equal(transcript, tr.bytes()) || !bytes.Equal(signature, root.Sign(recoverLabel, transcript)) {
				t.Errorf("the transcript is %x, signed %x", tr.bytes(), root.Sign(recoverLabel, tr.bytes()))
			}
			continue
		}
		invalid++
		if holds {
			t.Errorf("a bad signature holds: %s", line)
		}
	}
	if valid != 1 || invalid < 2 {
		t.Errorf("%d valid vectors, %d invalid ones; by this code: %x %x", valid, invalid, tr.bytes(), root.Sign(recoverLabel, tr.bytes()))
	}
}

func FuzzReceiveRecover(f *testing.F) {
	for _, m := range []*wire.Recover{
		helloOf(&recoverTranscript{}), proofOf(&recoverTranscript{}, newRoot(f)),
		{Kind: &wire.Recover_Roster{Roster: &wire.RecoverStatements{Statements: [][]byte{[]byte("x")}, Last: true}}},
		{Kind: &wire.Recover_Refusal{Refusal: &wire.RecoverRefusal{Reason: 9}}},
	} {
		f.Add(framed(f, m))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := receiveRecover(bytes.NewReader(raw), maxRecoverPart)
		if err != nil {
			return
		}
		if validateRecover(m) != nil || m.Kind == nil {
			t.Fatalf("accepted %v", m)
		}
		again, err := proto.Marshal(m)
		if err != nil || len(again) > maxRecoverPart {
			t.Fatalf("encodes to %d bytes, %v", len(again), err)
		}
	})
}

func FuzzParsePeer(f *testing.F) {
	for _, s := range []string{"192.0.2.7:4001", "[::1]:4001", "nas.example:4001", "/ip4/192.0.2.7/tcp/4001", "/ip4/192.0.2.7/udp/4001/quic-v1/p2p/x", "x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dev, bare, err := parsePeer(s)
		if err != nil {
			if !errors.Is(err, ErrAddress) {
				t.Fatalf("%v is not ErrAddress", err)
			}
			return
		}
		if again, same, err := parsePeer(bare.String()); dev == (shoal.DeviceID{}) && (err != nil || again != dev || !same.Equal(bare)) {
			t.Fatalf("%q becomes %s, and that %s, %v", s, bare, same, err)
		}
	})
}
