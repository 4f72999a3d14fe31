package blockexchange

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

func TestPageStatesTheLimitsOfTheCode(t *testing.T) {
	page, err := os.ReadFile("../docs/formats/block-exchange.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]int{
		"maxOpen": maxOpen, "maxRequests": maxRequests, "maxFetcherFrame": maxFetcherFrame, "maxSourceFrame": maxSourceFrame,
		"haveBatch": haveBatch, "maxReports": maxReports, "minAnswer": minAnswer, "maxAbsents": maxAbsents,
	} {
		m := regexp.MustCompile(`(?m)^\| ` + name + ` \| (\d+) \|`).FindSubmatch(page)
		if m == nil || string(m[1]) != strconv.Itoa(value) {
			t.Errorf("%s is %d in the code, %q on the page", name, value, m)
		}
	}
}
