package main

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// The texts of all mutants must be in the code as it is, and leave Go behind: whoever changes code that a mutant changes sees it here.
func TestMutantsFitTheCode(t *testing.T) {
	list, err := readMutants("list")
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		m := &list[i]
		t.Run(m.name, func(t *testing.T) {
			files, err := m.files("../..")
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range files {
				if _, err := parser.ParseFile(token.NewFileSet(), name, data, parser.SkipObjectResolution); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestMutantsAreReadAsWritten(t *testing.T) {
	const good = "Nothing is checked.\n\ntest: ./a -run ^X$\nfile: a/a.go\n--- old\n\tif bad {\n\t}\n--- new\n\tif false {\n\t}\nfile: b.go\n--- old\nvar x = 1\n--- new\n"
	m, err := parseMutant(good)
	if err != nil {
		t.Fatal(err)
	}
	want := []edit{{"a/a.go", "\tif bad {\n\t}\n", "\tif false {\n\t}\n"}, {"b.go", "var x = 1\n", ""}}
	if m.about != "Nothing is checked." || strings.Join(m.test, " ") != "./a -run ^X$" || len(m.edits) != 2 || m.edits[0] != want[0] || m.edits[1] != want[1] {
		t.Errorf("got %+v", m)
	}
	for _, bad := range []string{
		"",
		"No test.\n\nfile: a.go\n--- old\nx\n--- new\ny\n",
		"No file.\n\ntest: ./a\n",
		"Nothing changes.\n\ntest: ./a\nfile: a.go\n--- old\nx\n--- new\nx\n",
		"Nothing is taken out.\n\ntest: ./a\nfile: a.go\n--- old\n--- new\nx\n",
		"Text before the file.\n\ntest: ./a\n--- old\nx\n",
		"A line too many.\n\ntest: ./a\nfile: a.go\nwhat\n--- old\nx\n--- new\ny\n",
	} {
		if _, err := parseMutant(bad); err == nil {
			t.Errorf("%q is taken for a mutant", bad)
		}
	}
}

func TestOutcomeNamesTheInnermostTestAndItsSeed(t *testing.T) {
	o, err := readEvents([]byte(`{"Action":"output","Test":"TestX/y","Output":"-sim.seed=7 -sim.ops=80: lost\nreplay: -sim.seed=7 -sim.ops=80 -sim.steps=1,2\n-sim.seed=9 -sim.ops=80: lost"}
{"Action":"fail","Test":"TestX/y"}
{"Action":"fail","Test":"TestX"}
{"Action":"fail"}`))
	if err != nil || o.broken || strings.Join(o.failed, " ") != "TestX/y TestX" || strings.Join(o.replay, " ") != "-sim.seed=7 -sim.ops=80" {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = readEvents([]byte(`{"ImportPath":"x","Action":"build-fail"}` + "\n" + `{"Action":"fail","FailedBuild":"x"}`))
	if err != nil || !o.broken || len(o.failed) > 0 {
		t.Errorf("%+v, %v", o, err)
	}
}

// The page lists the mutants: those that are there, and no others.
func TestPageListsEveryMutant(t *testing.T) {
	list, err := readMutants("list")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Deliberate bugs\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found || strings.Count(section, "\n| `") != len(list) {
		t.Errorf("the page lists %d mutants, there are %d", strings.Count(section, "\n| `"), len(list))
	}
	for _, m := range list {
		if !strings.Contains(section, "\n| `"+m.name+"` | "+m.about+" | `"+strings.TrimPrefix(m.test[0], "./")+"`, ") {
			t.Errorf("the page does not list %s as %q, tested in %s", m.name, m.about, m.test[0])
		}
	}
}
