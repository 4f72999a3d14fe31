package main

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal/cmd/shoal/internal/terminal"
	"github.com/shoalmesh/shoal/node/control"
)

// deepDoctor is the document of `shoal doctor --deep --json`.
type deepDoctor struct {
	Checks []control.Check `json:"checks"`
	Deep   control.Deep    `json:"deep"`
}

// deepCheck has every file read again and shows what was found, and the other checks.
func (a *app) deepCheck(ctx context.Context, client *control.Client, checks []control.Check) error {
	progress := deepProgress{console: a.console}
	found, err := client.DeepCheck(ctx, progress.tell)
	progress.end()
	if err != nil {
		return err
	}
	all := append(checks[:len(checks):len(checks)], deepChecks(found)...)
	a.show(deepDoctor{Checks: checks, Deep: found}, func() { printChecks(a.console, all) })
	return failedChecks(all)
}

// deepChecks puts what a deep check found into lines like those of the others.
func deepChecks(d control.Deep) []control.Check {
	files := control.Check{Name: "files", State: control.CheckOK, Message: terminal.Count(d.Files, "file") + ", " + terminal.Bytes(d.Bytes) + " read again."}
	if d.Edited > 0 {
		files.Message += " " + terminal.Count(d.Edited, "file") + " changed since the last look, which is no damage."
	}
	if d.Omitted > 0 {
		files.State = control.CheckWarn
		files.Message += fmt.Sprintf(" %d more findings are not listed.", d.Omitted)
	}
	out := []control.Check{files}
	add := func(name string, state control.CheckState, list []control.DeepFinding) {
		for _, f := range list {
			where := f.Folder
			if f.Path != "" {
				where += "/" + string(f.Path)
			}
			out = append(out, control.Check{Name: name, State: state, Message: where + ": " + f.Message, Fix: f.Fix})
		}
	}
	add("damaged", control.CheckFail, d.Damaged)
	add("missing", control.CheckWarn, d.Missing)
	add("unreadable", control.CheckWarn, d.Unreadable)
	return out
}

// deepEvery is how often a log, which is no terminal, is told how far a deep check is.
const deepEvery = 30 * time.Second

// deepProgress shows on standard error how far a deep check is: in one line of a terminal, or now and then in a log.
type deepProgress struct {
	console *terminal.Console
	last    time.Time
	line    bool // there is a line to end
}

func (p *deepProgress) tell(d control.DeepProgress) {
	text := fmt.Sprintf("Reading %s: %s of %s, %s of %s", terminal.Printable(d.Folder),
		terminal.Count(d.Files, "file"), terminal.Count(d.TotalFiles, "file"), terminal.Bytes(d.Bytes), terminal.Bytes(d.TotalBytes))
	switch {
	case p.console.ErrTerminal:
		_, _ = fmt.Fprintf(p.console.Err, "\r\x1b[K%s", text)
		p.line = true
	case time.Since(p.last) >= deepEvery:
		p.last = time.Now()
		p.console.Notef("%s", text)
	}
}

func (p *deepProgress) end() {
	if p.line {
		p.console.Notef("\r\x1b[K")
	}
}
