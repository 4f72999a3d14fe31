package s3store

import (
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/shoalmesh/shoal/block/s3store/internal/ledger"
)

// TestFormatPageNamesTheLimits compares the table of limits in docs/formats/ledger.md with the code.
func TestFormatPageNamesTheLimits(t *testing.T) {
	limits := map[string]int{
		"MaxList": ledger.MaxList, "MaxEntry": ledger.MaxEntry, "MaxParts": ledger.MaxParts, "MaxPart": ledger.MaxPart,
		"MaxObject": MaxObject, "MaxObjectKey": MaxObjectKey,
	}
	text, err := os.ReadFile("../../docs/formats/ledger.md")
	must(t, err)
	rows := regexp.MustCompile(`(?m)^\| (\w+) \| (\d+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(rows) != len(limits) {
		t.Errorf("the page has %d limits, want %d", len(rows), len(limits))
	}
	for _, row := range rows {
		if got, ok := limits[row[1]]; !ok || strconv.Itoa(got) != row[2] {
			t.Errorf("the page says %s is %s; it is %d", row[1], row[2], got)
		}
	}
}
