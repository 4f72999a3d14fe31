package mesh

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const pagePath = "../docs/formats/roster.md"

// TestPageListsEveryContext compares the table of derive-key contexts in contexts.go with the format page.
func TestPageListsEveryContext(t *testing.T) {
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "contexts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var inCode []string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, `"shoal mesh v1 `) {
			s, _ := strconv.Unquote(lit.Value)
			inCode = append(inCode, s)
		}
		return true
	})
	var onPage []string
	for line := range strings.Lines(string(page)) {
		if rest, is := strings.CutPrefix(line, "| `shoal mesh v1 "); is {
			name, _, _ := strings.Cut(rest, "`")
			onPage = append(onPage, "shoal mesh v1 "+name)
		}
	}
	if !slices.Equal(inCode, onPage) || len(inCode) != len(sortedStrings(inCode)) {
		t.Errorf("in the code:\n%s\non the page:\n%s", strings.Join(inCode, "\n"), strings.Join(onPage, "\n"))
	}
}

func sortedStrings(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// TestPageListsEveryLimit checks that the page names the limits that the code has.
func TestPageListsEveryLimit(t *testing.T) {
	page, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		line   string
		values []int
	}{
		{"| statement | 64 KiB |", []int{MaxStatementBytes >> 10}},
		{"| statements in a roster | 100,000 and 256 MiB |", []int{MaxStatements, MaxRosterBytes >> 20}},
		{"| of one signer | 20,000 and 64 MiB |", []int{maxPerSigner, maxBytesPerSigner >> 20}},
		{"| admit, role and revoke statements | 16,384; of one signer 4,096, of which 1,024 role and revoke |", []int{maxMembers, maxMembersPerSigner, maxTakersPerSigner}},
		{"| held, waiting for others | 4,096 and 16 MiB;", []int{maxHeld, maxHeldBytes >> 20}},
		{"| recipients of an epoch | 1,025 |", []int{maxRecipients}},
		{"| roots in a chain | 384 |", []int{maxChained}},
		{"| name | 1 to 128 bytes", []int{1, MaxNameBytes}},
		{"1 to 1,024 | owner", []int{maxCuts}},
		{"1 to 48 of", []int{maxEnvelopes}},
		{"ascending, ≤ 64, without `previous`", []int{maxHeads}},
		{"`last` (≤ 64, ascending)", []int{maxLast}},
		{"`cut_lists` (≤ 64, ascending)", []int{maxCutLists}},
	} {
		if !strings.Contains(string(page), want.line) {
			t.Errorf("the page lacks %q", want.line)
		}
		for _, v := range want.values {
			if !strings.Contains(strings.ReplaceAll(want.line, ",", ""), strconv.Itoa(v)) {
				t.Errorf("%q does not name %d", want.line, v)
			}
		}
	}
}
