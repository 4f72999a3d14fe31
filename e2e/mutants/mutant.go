package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one deliberate bug.
type mutant struct {
	name  string
	about string   // what is wrong, in a sentence
	test  []string // arguments of go test
	edits []edit
}

// edit replaces lines of one file. Both texts are whole lines.
type edit struct {
	file     string // from the module's root, with slashes
	old, new string
}

// readMutants reads all files of a folder, in the order of their names.
func readMutants(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := parseMutant(string(data))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		m.name = strings.TrimSuffix(filepath.Base(f), ".txt")
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no mutants in %s", dir)
	}
	return out, nil
}

// parseMutant reads the text form that doc.go shows.
func parseMutant(text string) (mutant, error) {
	var m mutant
	var into *string // where lines of text go
	for line := range strings.Lines(text) {
		word := strings.TrimRight(line, "\n")
		file, isFile := strings.CutPrefix(word, "file: ")
		test, isTest := strings.CutPrefix(word, "test: ")
		switch {
		case isFile:
			m.edits = append(m.edits, edit{file: file})
			into = nil
		case isTest && len(m.edits) == 0:
			m.test = strings.Fields(test)
		case word == "--- old" || word == "--- new":
			if len(m.edits) == 0 {
				return m, fmt.Errorf("%q before any file", word)
			}
			e := &m.edits[len(m.edits)-1]
			if into = &e.old; word == "--- new" {
				into = &e.new
			}
		case into != nil:
			*into += line
		case len(m.edits) == 0 && word != "":
			m.about = strings.TrimSpace(m.about + " " + word)
		case word != "":
			return m, fmt.Errorf("what is %q?", word)
		}
	}
	return m, m.validate()
}

func (m *mutant) validate() error {
	if m.about == "" || len(m.test) == 0 || len(m.edits) == 0 {
		return errors.New("a sentence, a test and a file are needed")
	}
	for _, e := range m.edits {
		if strings.TrimSpace(e.old) == "" || e.old == e.new {
			return fmt.Errorf("%s: nothing is taken out, or nothing changes", e.file)
		}
	}
	return nil
}

// files returns the mutated files by name, read from root.
func (m *mutant) files(root string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, e := range m.edits {
		data, ok := out[e.file]
		if !ok {
			var err error
			if data, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file))); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.name, err)
			}
		}
		old := []byte("\n" + e.old)
		if n := bytes.Count(data, old); n != 1 {
			return nil, fmt.Errorf("mutant %s: its text is in %s %d times, not once: the code moved on, and the mutant has to follow", m.name, e.file, n)
		}
		out[e.file] = bytes.Replace(data, old, []byte("\n"+e.new), 1)
	}
	return out, nil
}
