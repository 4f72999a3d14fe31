package rendezvous

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The page of the format names what the code does.
func TestFormatPageMatchesTheCode(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../../docs/formats/rendezvous.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, want := range []string{
		contextSign, contextSeal, contextProvider, Prefix + "/kad/1.0.0",
		fmt.Sprintf("Always %d bytes", RecordBytes),
		fmt.Sprintf("| 0 | 1 | version, %d |", version),
		fmt.Sprintf("| %d | %d | day", atDay, atTime-atDay), fmt.Sprintf("| %d | %d | time", atTime, atNonce-atTime),
		fmt.Sprintf("| %d | %d | nonce", atNonce, atSealed-atNonce), fmt.Sprintf("| %d | %d | sealed", atSealed, atSignature-atSealed),
		fmt.Sprintf("| %d | %d | Ed25519", atSignature, RecordBytes-atSignature),
		fmt.Sprintf("Sealed are %d bytes", plainBytes), "`" + strings.TrimSuffix(recordPrefix, "\x00") + "` ‖ 0x00", "shoal/" + sightingLabel + "/v1",
		fmt.Sprintf("at most %d addresses", MaxAddrs), fmt.Sprintf("at most %d bytes of the layer above", MaxNote),
		fmt.Sprintf("%d records, %d providers", maxStored, maxStored), fmt.Sprintf("| %d a minute |", requestsPerMinute),
		fmt.Sprintf("| %d, then down to %d |", highConns, lowConns), fmt.Sprintf("| %d MiB |", maxMemory>>20),
		fmt.Sprintf("settled for %d s, not more often than every %d minutes", settleWait/time.Second, leastAnnouncePause/time.Minute),
		fmt.Sprintf("\n%d hours, since", refreshPause/time.Hour), fmt.Sprintf("first %d minutes of each day", midnightJitter/time.Minute),
		fmt.Sprintf("looked for after %d s", grace/time.Second), fmt.Sprintf("At most %d devices", maxLooks),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if maxSecrets != 3 || restAfter != time.Minute {
		t.Error("the page says three secrets, and a minute of rest")
	}
}
