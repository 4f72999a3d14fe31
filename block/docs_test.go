package block

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestFormatPagesNameTheLimits compares the tables of limits in docs/formats with the code.
func TestFormatPagesNameTheLimits(t *testing.T) {
	for page, limits := range map[string]map[string]int{
		"block.md":  {"MinSize": MinSize, "TargetSize": TargetSize, "MaxSize": MaxSize, "MinSealed": MinSealed, "MaxSealed": MaxSealed},
		"recipe.md": {"InlineRecipe": InlineRecipe, "MaxRecipe": MaxRecipe, "MaxRefNode": MaxRefNode},
	} {
		text, err := os.ReadFile("../docs/formats/" + page)
		if err != nil {
			t.Fatal(err)
		}
		rows := regexp.MustCompile(`(?m)^\| (\w+) \| (\d+) \|`).FindAllStringSubmatch(string(text), -1)
		if len(rows) != len(limits) {
			t.Errorf("%s has %d limits, want %d", page, len(rows), len(limits))
		}
		for _, row := range rows {
			if got, ok := limits[row[1]]; !ok || strconv.Itoa(got) != row[2] {
				t.Errorf("%s says %s is %s; it is %d", page, row[1], row[2], got)
			}
		}
	}
}

// TestFormatPageListsTheContexts: what keys are derived for stands in one table.
func TestFormatPageListsTheContexts(t *testing.T) {
	text, err := os.ReadFile("../docs/formats/block.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, context := range []string{contextContent, contextDigest, contextGearTable, contextGearPRF, contextSeal} {
		if !regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(context) + "` \\|").Match(text) {
			t.Errorf("context %q is not in the table", context)
		}
	}
}
