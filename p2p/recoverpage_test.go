package p2p

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// The page of recovery names what the code does.
func TestRecoverPageMatchesTheCode(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/formats/recover.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	want := []string{
		"Protocol `" + recoverProtocol + "`", "`\"shoal/" + recoverLabel + "/v1\\0\"`",
		fmt.Sprintf("| frame without statements | %d B |", maxRecoverFrame),
		fmt.Sprintf("| frame with statements | %d MiB, and 1,%03d statements |", maxRecoverPart>>20, maxRecoverCount-1000),
		fmt.Sprintf("| one statement | %d KiB, at least 1 byte |", mesh.MaxStatementBytes>>10),
		fmt.Sprintf("| statements of a roster | %d MiB |", maxRecoverRoster>>20),
		fmt.Sprintf("| statements of an admission | %d MiB |", maxRecoverAdmission>>20),
		fmt.Sprintf("| connections of strangers at once | %d; while an invite is open %d, guests included |", maxStrangers, maxGuests),
		fmt.Sprintf("| recoveries served at once | %d |", maxRecoveries),
		fmt.Sprintf("| challenges | one per %d ms, %d at once after a pause |", recoverPause/time.Millisecond, recoverBurst),
		fmt.Sprintf("| wait for hello and proof | %d s each |", recoverHurry/time.Second),
		fmt.Sprintf("| wait for any other message | %d min |", recoverAdmitStep/time.Minute),
		fmt.Sprintf("ends after %d s", idleWait/time.Second),
	}
	for r, name := range wire.RecoverReason_name {
		if r != 0 {
			words := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "RECOVER_REASON_"), "_", " "))
			want = append(want, fmt.Sprintf("| %s | %d |", words, r))
		}
	}
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}
