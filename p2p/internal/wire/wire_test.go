package wire

import (
	"bufio"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// examples are one message of each kind, with every field set. Their bytes are in testdata/messages.txt.
var examples = map[string]proto.Message{
	"link-hello":        &Link{Kind: &Link_Hello{Hello: &Hello{Run: 0x0123456789abcdef}}},
	"link-verdict-yes":  &Link{Kind: &Link_Verdict{Verdict: &Verdict{Answer: Answer_ANSWER_YES}}},
	"link-verdict-dup":  &Link{Kind: &Link_Verdict{Verdict: &Verdict{Answer: Answer_ANSWER_DUPLICATE}}},
	"link-verdict-no":   &Link{Kind: &Link_Verdict{Verdict: &Verdict{Answer: Answer_ANSWER_NOT_ADMITTED}}},
	"link-heartbeat":    &Link{Kind: &Link_Ping{Ping: &Ping{}}},
	"link-ping":         &Link{Kind: &Link_Ping{Ping: &Ping{Number: 7}}},
	"link-pong":         &Link{Kind: &Link_Pong{Pong: &Ping{Number: 7}}},
	"link-entry":        &Link{Kind: &Link_Entry{Entry: &Entry{Addrs: [][]byte{[]byte("address")}}}},
	"sighting":          &Sighting{Device: []byte("device"), Name: []byte("name"), Day: 20000, TimeMs: 1700000000000, Addrs: [][]byte{[]byte("address")}, Note: []byte("note")},
	"link-addresses":    &Link{Kind: &Link_Addresses{Addresses: &Signed{Body: []byte("body"), Signature: []byte("signature")}}},
	"pair-begin-ticket": &Pair{Kind: &Pair_Begin{Begin: &Begin{Invite: []byte("0123456789abcdef")}}},
	"pair-begin-code":   &Pair{Kind: &Pair_Begin{Begin: &Begin{Nameplate: 7, Pake: []byte("pake")}}},
	"pair-offer":        &Pair{Kind: &Pair_Offer{Offer: &Offer{Mesh: []byte("mesh"), Role: 2, Pake: []byte("pake")}}},
	"pair-proof":        &Pair{Kind: &Pair_Proof{Proof: &Proof{Guest: []byte("guest"), Confirmation: []byte("mac"), Addresses: &Signed{Body: []byte("b"), Signature: []byte("s")}}}},
	"pair-accept":       &Pair{Kind: &Pair_Accept{Accept: &Accept{Confirmation: []byte("mac"), Addresses: &Signed{Body: []byte("b"), Signature: []byte("s")}}}},
	"pair-welcome":      &Pair{Kind: &Pair_Welcome{Welcome: &Welcome{Welcome: []byte("roster")}}},
	"pair-done":         &Pair{Kind: &Pair_Done{Done: &Done{}}},
	"pair-refusal-1":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_WRONG_CODE}}},
	"pair-refusal-2":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_EXPIRED}}},
	"pair-refusal-3":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_USED}}},
	"pair-refusal-4":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_DENIED}}},
	"pair-refusal-5":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_NOT_ADMITTED}}},
	"pair-refusal-6":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_MALFORMED}}},
	"pair-refusal-7":    &Pair{Kind: &Pair_Refusal{Refusal: &Refusal{Reason: Reason_REASON_BUSY}}},
	"guest":             &Guest{Name: "laptop", Hpke: []byte("key")},
	"addresses":         &Addresses{Device: []byte("device"), TimeMs: 1795000000123, Addrs: [][]byte{[]byte("a"), []byte("b")}},
}

// A change of the .proto that changes bytes on the wire fails here.
func TestGoldenMessages(t *testing.T) {
	t.Parallel()
	checkGolden(t, "testdata/messages.txt", examples)
}

// checkGolden compares a file of vectors with the examples that it names.
func checkGolden(t *testing.T, path string, examples map[string]proto.Message) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := 0
	for s := bufio.NewScanner(file); s.Scan(); {
		f := strings.Fields(s.Text() + " ")
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		seen++
		want := examples[f[0]]
		if want == nil {
			t.Errorf("%s: no such example", f[0])
			continue
		}
		raw, err := hex.DecodeString(f[1])
		if err != nil {
			t.Fatal(err)
		}
		got := want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(raw, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: read as %v, %v", f[0], got, err)
		}
		if again, err := (proto.MarshalOptions{Deterministic: true}).Marshal(want); err != nil || hex.EncodeToString(again) != f[1] {
			t.Errorf("%s: written as %x, %v", f[0], again, err)
		}
	}
	if seen != len(examples) {
		t.Errorf("%d vectors for %d examples", seen, len(examples))
	}
}

func TestEveryKindHasAnExample(t *testing.T) {
	t.Parallel()
	checkKinds(t, examples, &Link{}, &Pair{})
}

// checkKinds tells which kinds of some messages have no example.
func checkKinds(t *testing.T, examples map[string]proto.Message, messages ...proto.Message) {
	t.Helper()
	have := make(map[protoreflect.FullName]bool)
	for _, m := range examples {
		r := m.ProtoReflect()
		if o := r.Descriptor().Oneofs(); o.Len() > 0 {
			have[r.WhichOneof(o.Get(0)).FullName()] = true
		}
	}
	for _, m := range messages {
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			if name := fields.Get(i).FullName(); !have[name] {
				t.Errorf("no example of %s", name)
			}
		}
	}
}
