package index

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The pages of the formats must say what the code does.
func TestPagesStateTheLimits(t *testing.T) {
	for page, limits := range map[string]map[string]int{
		"record.md": {
			"MaxRecordBytes": MaxRecordBytes, "MaxTargetBytes": MaxTargetBytes, "MaxVersion": MaxVersion,
			"MaxRecipeParts": MaxRecipeParts, "MaxEpochRuns": MaxEpochRuns,
		},
		"head.md": {
			"BucketSize": BucketSize, "MaxHeadBytes": MaxHeadBytes, "MaxHeadRefs": MaxHeadRefs, "MaxLives": MaxLives, "MaxStatusBytes": MaxStatusBytes,
			"MaxJournals": MaxJournals, "MaxExceptions": MaxExceptions, "MaxProofs": MaxProofs,
		},
	} {
		data, err := os.ReadFile("../docs/formats/" + page)
		must(t, err)
		for name, value := range limits {
			if !strings.Contains(string(data), fmt.Sprintf("| %s | %d |", name, value)) {
				t.Errorf("%s does not say that %s is %d", page, name, value)
			}
		}
		if rows := regexp.MustCompile(`(?m)^\| [A-Z]\w+ \| \d+ \|`).FindAllString(string(data), -1); len(rows) != len(limits) {
			t.Errorf("%s has %d limits, the code %d", page, len(rows), len(limits))
		}
	}
}

func TestDatabasePageListsEveryBucket(t *testing.T) {
	data, err := os.ReadFile("../docs/database.md")
	must(t, err)
	for _, name := range bucketNames {
		if !strings.Contains(string(data), "\n| "+name+" |") {
			t.Errorf("bucket %s is not in the layout", name)
		}
	}
}
