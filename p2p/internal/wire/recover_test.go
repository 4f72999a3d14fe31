package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// recoverExamples are one message of each kind of /shoal/recover/1. Their bytes are in testdata/recover.txt.
var recoverExamples = map[string]proto.Message{
	"recover-hello":     &Recover{Kind: &Recover_Hello{Hello: &RecoverNonce{Nonce: []byte("nonce")}}},
	"recover-challenge": &Recover{Kind: &Recover_Challenge{Challenge: &RecoverNonce{Nonce: []byte("nonce")}}},
	"recover-proof":     &Recover{Kind: &Recover_Proof{Proof: &RecoverProof{Root: []byte("root"), Signature: []byte("signature")}}},
	"recover-roster":    &Recover{Kind: &Recover_Roster{Roster: &RecoverStatements{Statements: [][]byte{[]byte("a"), []byte("b")}}}},
	"recover-admission": &Recover{Kind: &Recover_Admission{Admission: &RecoverStatements{Statements: [][]byte{[]byte("c")}, Last: true}}},
	"recover-done":      &Recover{Kind: &Recover_Done{Done: &RecoverDone{}}},
	"recover-refusal-1": &Recover{Kind: &Recover_Refusal{Refusal: &RecoverRefusal{Reason: RecoverReason_RECOVER_REASON_NO_PROOF}}},
	"recover-refusal-2": &Recover{Kind: &Recover_Refusal{Refusal: &RecoverRefusal{Reason: RecoverReason_RECOVER_REASON_UNKNOWN_MESH}}},
	"recover-refusal-3": &Recover{Kind: &Recover_Refusal{Refusal: &RecoverRefusal{Reason: RecoverReason_RECOVER_REASON_NOT_TAKEN}}},
	"recover-refusal-4": &Recover{Kind: &Recover_Refusal{Refusal: &RecoverRefusal{Reason: RecoverReason_RECOVER_REASON_MALFORMED}}},
	"recover-refusal-5": &Recover{Kind: &Recover_Refusal{Refusal: &RecoverRefusal{Reason: RecoverReason_RECOVER_REASON_BUSY}}},
}

func TestGoldenRecoverMessages(t *testing.T) {
	t.Parallel()
	checkGolden(t, "testdata/recover.txt", recoverExamples)
	checkKinds(t, recoverExamples, &Recover{})
}
