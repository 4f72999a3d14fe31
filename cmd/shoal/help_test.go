package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
)

// everyCommand calls f for each command of the program but cobra's own help.
func everyCommand(t *testing.T, f func(t *testing.T, cmd *cobra.Command)) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		t.Run(strings.ReplaceAll(cmd.CommandPath(), " ", "_"), func(t *testing.T) { f(t, cmd) })
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{console: terminal.New(os.Stdin, os.Stdout, os.Stderr)}))
}

func TestEveryCommandHasHelpAndAnExample(t *testing.T) {
	everyCommand(t, func(t *testing.T, cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("short help %q: one line without a final stop", cmd.Short)
		}
		if cmd.Long == "" && !cmd.HasSubCommands() {
			t.Error("no long help")
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("example %q does not show the command", cmd.Example)
		}
		if cmd.Args == nil {
			t.Error("arguments are not checked")
		}
		for line := range strings.Lines(cmd.Long) {
			if len(strings.TrimRight(line, "\n")) > 130 {
				t.Errorf("line of help is too long for a terminal: %q", line)
			}
		}
	})
}

// What examples show must be commands that exist, with flags that exist.
func TestExamplesAreCommands(t *testing.T) {
	root := newRoot(&app{console: terminal.New(os.Stdin, os.Stdout, os.Stderr)})
	everyCommand(t, func(t *testing.T, cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			for _, part := range strings.Split(line, "&&") {
				words := strings.Fields(part)
				if len(words) == 0 || words[0] != "shoal" {
					continue
				}
				found, rest, err := root.Find(words[1:])
				if err != nil || found == root && len(rest) > 0 {
					t.Errorf("%q is no command: %v", part, err)
				}
				for _, word := range rest {
					name, isFlag := strings.CutPrefix(word, "--")
					if isFlag && found.Flag(name) == nil && found.InheritedFlags().Lookup(name) == nil {
						t.Errorf("%q: there is no flag --%s", part, name)
					}
				}
			}
		}
	})
}

func TestListingsPrintOneJSONDocument(t *testing.T) {
	home := t.TempDir()
	serveDevice(t, home)
	for _, args := range [][]string{
		{"status"}, {"folder", "list"}, {"devices"}, {"devices", "list"}, {"conflicts"}, {"log"}, {"doctor"}, {"doctor", "--deep"}, {"version"}, {"wait"},
		{"invite"}, {"rescan"}, {"folder", "pause", "Shoal"}, {"folder", "add", t.TempDir()},
	} {
		t.Run(strings.Join(args, "_"), func(t *testing.T) {
			var out, err bytes.Buffer
			code := execute(t.Context(), &app{console: plainConsole(t, &out, &err)}, append(args, "--json", "--home", home))
			dec := json.NewDecoder(&out)
			var doc any
			if decoding := dec.Decode(&doc); code != 0 || decoding != nil || dec.More() {
				t.Errorf("exit code %d, %v, standard error %q", code, decoding, err.String())
			}
		})
	}
}

// plainConsole is a console that is no terminal, into buffers.
func plainConsole(t *testing.T, out, err *bytes.Buffer) *terminal.Console {
	t.Helper()
	null, openErr := os.Open(os.DevNull)
	if openErr != nil {
		t.Fatal(openErr)
	}
	t.Cleanup(func() { null.Close() })
	c := terminal.New(null, null, null)
	c.Out, c.Err = out, err
	return c
}
