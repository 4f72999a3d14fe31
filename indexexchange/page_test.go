package indexexchange

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func TestPageStatesTheLimitsOfTheCode(t *testing.T) {
	page, err := os.ReadFile("../docs/formats/index-exchange.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]int{
		"MaxMessage": MaxMessage, "maxBatchBytes": maxBatchBytes, "maxPartial": maxPartial, "maxSmallBlock": maxSmallBlock,
		"maxSmallBytes": maxSmallBytes, "maxSmallRecords": maxSmallRecords, "maxPositions": maxPositions, "maxHeads": maxHeads,
		"maxPeerPositions": maxPeerPositions, "maxListRecords": maxListRecords, "maxListDigests": maxListDigests,
		"maxAskBuckets": maxAskBuckets, "maxStatuses": maxStatuses, "maxAsks": maxAsks, "maxBuckets": maxBuckets, "maxServes": maxServes,
	} {
		m := regexp.MustCompile(`(?m)^\| ` + name + ` \| (\d+) \|`).FindSubmatch(page)
		if m == nil || string(m[1]) != strconv.Itoa(value) {
			t.Errorf("%s is %d in the code, %q on the page", name, value, m)
		}
	}
}
