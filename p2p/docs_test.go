package p2p

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/p2p/internal/address"
	"github.com/shoalmesh/shoal/p2p/internal/invite"
	"github.com/shoalmesh/shoal/p2p/internal/mdns"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

// The page of the formats names what the code does.
func TestFormatPageMatchesTheCode(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/formats/pairing.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	want := []string{
		linkProtocol, pairProtocol, "prefix `" + invite.TicketPrefix + "`",
		string(invite.ByGuest), strings.TrimPrefix(string(invite.ByInviter), "shoal 2026-11-22 "),
		strings.TrimSuffix(mdns.Members, ".local."), strings.TrimSuffix(mdns.Pairing, ".local."),
		fmt.Sprintf("`/shoal/link/1` | %d KiB + %d |", address.MaxRecordBytes>>10, maxLinkFrame-address.MaxRecordBytes),
		fmt.Sprintf("`/shoal/pair/1` | %d KiB; the welcome %d MiB + 1 KiB |", maxPairFrame>>10, maxWelcome>>20),
		fmt.Sprintf("at most %d binary multiaddrs", address.MaxAddrs),
		fmt.Sprintf("at most %d addresses in the shape above", invite.MaxAddrs),
		fmt.Sprintf("nameplate 1 to %d", invite.MaxPlate),
		fmt.Sprintf("name of 1 to %d bytes", maxGuestName),
		fmt.Sprintf("| `%s` | %d |", seenProtocol, maxSeenFrame), fmt.Sprintf("own addresses, %d at most", maxCandidates),
		fmt.Sprintf("attempts of %d s", punchWait/time.Second),
		fmt.Sprintf("closed %d s after the last of them has ended, or after %d minutes", drainRest/time.Second, drainWait/time.Minute),
		fmt.Sprintf("at most %d of these, %d of one relay", maxCircuits, circuitsPerRelay),
		fmt.Sprintf("the place holds (%d h)", relayTTL/time.Hour),
		fmt.Sprintf("| places | one for each of %d devices", Limits{}.withDefaults().Peers),
		fmt.Sprintf("| circuits of one device | %d |", relayCircuits),
		fmt.Sprintf("| copied at once | %d KiB", relayBuffer>>10),
	}
	for r, name := range wire.Reason_name {
		if r != 0 {
			words := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "REASON_"), "_", " "))
			want = append(want, fmt.Sprintf("| %s | %d |", words, r))
		}
	}
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page lacks %q", w)
		}
	}
}
