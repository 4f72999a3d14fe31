package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

// printStatus shows a status to a person.
func printStatus(c *terminal.Console, s control.Status) {
	var self terminal.Table
	self.Cells(terminal.Cell{Text: s.Device.Name, Style: terminal.Bold}, terminal.Cell{Text: s.Device.Role},
		terminal.Cell{Text: shortID(s.Device.ID), Style: terminal.Faint}, terminal.Cell{Text: s.API})
	self.Print(c, "")

	section(c, "Folders", folderTable(s.Folders), "none; add one with: shoal folder add DIR")
	section(c, "Other devices", deviceTable(s.Devices), "none; add one with: shoal invite")
	if s.Transfer != (control.Transfer{}) {
		c.Printf("\n%s  in %s/s, out %s/s\n", c.Styled(terminal.Bold, "Transfer"),
			terminal.Bytes(s.Transfer.InBytesPerS), terminal.Bytes(s.Transfer.OutBytesPerS))
	}
	if len(s.Problems) > 0 {
		section(c, "Problems", problemTable(s.Problems), "")
	}
}

// section prints a table under a title, or what to say when it is nil.
func section(c *terminal.Console, title string, table *terminal.Table, none string) {
	c.Printf("\n%s\n", c.Styled(terminal.Bold, title))
	if table == nil {
		c.Printf("  %s\n", none)
		return
	}
	table.Print(c, "  ")
}

func folderTable(folders []control.FolderStatus) *terminal.Table {
	if len(folders) == 0 {
		return nil
	}
	table := new(terminal.Table)
	for _, f := range folders {
		table.Cells(
			terminal.Cell{Text: f.Name},
			terminal.Cell{Text: string(f.State), Style: stateStyle(f.State)},
			terminal.Cell{Text: folderFacts(f)},
			terminal.Cell{Text: string(f.Path), Style: terminal.Faint})
	}
	return table
}

// folderFacts says in a few words how a folder stands.
func folderFacts(f control.FolderStatus) string {
	facts := []string{fmt.Sprintf("%s, %s", terminal.Count(f.Files, "file"), terminal.Bytes(f.Bytes))}
	if f.NeedFiles > 0 || f.NeedBytes > 0 {
		facts = append(facts, needWords(f.NeedFiles, f.NeedBytes)+" to come")
	}
	if f.CopiesMin > 0 {
		facts = append(facts, copies(f.CopiesMin))
	}
	if f.Conflicts > 0 {
		facts = append(facts, terminal.Count(f.Conflicts, "conflict"))
	}
	if f.Error != "" {
		facts = append(facts, f.Error)
	}
	return strings.Join(facts, "; ")
}

// copies says how often everything is there at least.
func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

func needWords(files, bytes int64) string {
	if bytes == 0 {
		return terminal.Count(files, "file")
	}
	return fmt.Sprintf("%s, %s", terminal.Count(files, "file"), terminal.Bytes(bytes))
}

func stateStyle(s control.FolderState) terminal.Style {
	switch s {
	case control.StateIdle:
		return terminal.Green
	case control.StateError:
		return terminal.Red
	case control.StatePaused:
		return terminal.Faint
	}
	return terminal.Yellow
}

func deviceTable(devices []control.DeviceStatus) *terminal.Table {
	if len(devices) == 0 {
		return nil
	}
	table := new(terminal.Table)
	for _, d := range devices {
		state := terminal.Cell{Text: "offline", Style: terminal.Faint}
		if !d.Heard.IsZero() {
			state.Text = "offline, heard " + terminal.Time(d.Heard)
		}
		if d.Connected {
			state = terminal.Cell{Text: strings.TrimSpace("connected " + string(d.Transport)), Style: terminal.Green}
		}
		table.Cells(terminal.Cell{Text: d.Name}, terminal.Cell{Text: d.Role}, state,
			terminal.Cell{Text: deviceFacts(d.Folders)}, terminal.Cell{Text: d.Address, Style: terminal.Faint})
	}
	return table
}

// deviceFacts says what another device lacks, as far as it told.
func deviceFacts(folders map[string]control.Need) string {
	var lacking []string
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		if need := folders[name]; need != (control.Need{}) {
			lacking = append(lacking, fmt.Sprintf("lacks %s of %s", needWords(need.NeedFiles, need.NeedBytes), name))
		}
	}
	switch {
	case len(lacking) > 0:
		return strings.Join(lacking, "; ")
	case len(folders) > 0:
		return "has everything"
	}
	return "has not reported"
}

func problemTable(problems []control.Problem) *terminal.Table {
	table := new(terminal.Table)
	for _, p := range problems {
		where := p.Folder
		if p.Path != "" {
			where += "/" + string(p.Path)
		}
		table.Cells(terminal.Cell{Text: p.Kind, Style: terminal.Red}, terminal.Cell{Text: where},
			terminal.Cell{Text: p.Message}, terminal.Cell{Text: "since " + terminal.Time(p.Since), Style: terminal.Faint})
	}
	return table
}
