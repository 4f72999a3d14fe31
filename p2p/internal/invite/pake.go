package invite

import (
	"encoding/binary"
	"fmt"

	"filippo.io/cpace"

	"github.com/shoalmesh/shoal"
)

// pakeLabel begins the PAKE's associated data.
const pakeLabel = "shoal/pair/1"

// MaxPake bounds a message of the PAKE (CPace over ristretto255: 48 bytes there, 32 back).
const MaxPake = 64

// StartPake begins a key exchange that only who knows the code's words can finish to the same key. The message goes to
// the inviter; finish takes its answer. Wrong words are no error here: the keys differ. Error: the answer is malformed.
func StartPake(c Code, guest, inviter shoal.DeviceID) (msg []byte, finish func([]byte) ([]byte, error), err error) {
	msg, state, err := cpace.Start(c.Words, pakeContext(guest, inviter, c.Plate))
	if err != nil {
		return nil, nil, fmt.Errorf("begin key exchange: %w", err)
	}
	return msg, func(answer []byte) ([]byte, error) {
		key, err := state.Finish(answer)
		if err != nil {
			return nil, fmt.Errorf("finish key exchange: %w", err)
		}
		return key, nil
	}, nil
}

// AnswerPake is the inviter's side of StartPake.
func AnswerPake(c Code, guest, inviter shoal.DeviceID, msg []byte) (answer, key []byte, err error) {
	answer, key, err = cpace.Exchange(c.Words, pakeContext(guest, inviter, c.Plate), msg)
	if err != nil {
		return nil, nil, fmt.Errorf("answer key exchange: %w", err)
	}
	return answer, key, nil
}

// pakeContext binds the exchange to both ends and the nameplate.
func pakeContext(guest, inviter shoal.DeviceID, plate uint32) *cpace.ContextInfo {
	ad := binary.BigEndian.AppendUint32([]byte(pakeLabel), plate)
	return cpace.NewContextInfo(string(guest[:]), string(inviter[:]), ad)
}
