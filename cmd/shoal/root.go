package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node/control"
)

// Groups of commands in the help, as in docs.
const (
	groupFirst    = "first"
	groupEveryDay = "everyday"
	groupProgram  = "program"
)

// newRoot builds the whole tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "shoal",
		Short: "Keeps your files the same on all your devices",
		Long: `Shoal keeps your files the same on all your devices, keeps old versions,
and has no company in the middle.

Begin with "shoal up" on one device; it prints what to type on the next.`,
		Example: `  shoal up
  shoal up --join 7-acid-wolf
  shoal status`,
		Args:             noArgs,
		RunE:             func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { a.console.Color = a.console.Color && !a.noColor },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return control.Errorf(control.CodeUsage, "%w", err) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.home, "home", "", "directory of this device's keys and databases (default $"+homeVariable+", else the user's data folder)")
	flags.BoolVar(&a.json, "json", false, "print one JSON document")
	flags.BoolVar(&a.yes, "yes", false, "ask nothing; what needs a person fails")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "say more on standard error")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours")

	root.AddGroup(
		&cobra.Group{ID: groupFirst, Title: "First five minutes:"},
		&cobra.Group{ID: groupEveryDay, Title: "Every day:"},
		&cobra.Group{ID: groupProgram, Title: "The program itself:"})
	add(root, groupFirst, newUp(a), newInvite(a), newRecover(a), newStop(a))
	add(root, groupEveryDay, newStatus(a), newWait(a), newRescan(a), newFolder(a), newDevices(a), newApprove(a), newDeny(a),
		newConflicts(a), newResolve(a), newLog(a), newDoctor(a))
	add(root, groupProgram, newVault(a), newRun(a), newService(a), newCompletion(), newVersion(a))
	root.SetHelpCommandGroupID(groupProgram)
	return root
}

func add(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = group
		root.AddCommand(cmd)
	}
}

// newGroup makes a command that only holds others.
func newGroup(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// noArgs refuses arguments. On a command that holds others an argument is a command that does not exist.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return control.Errorf(control.CodeUsage, "%s takes no argument", cmd.CommandPath())
	}
	message := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		message += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return control.Errorf(control.CodeUsage, "%s", message)
}

// needArgs asks for exactly the named arguments, none of them empty.
func needArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return control.Errorf(control.CodeUsage, "%s takes %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return noEmpty(cmd, args)
	}
}

// mayHave asks for at most one argument, and not an empty one.
func mayHave(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return control.Errorf(control.CodeUsage, "%s takes at most one %s", cmd.CommandPath(), name)
		}
		return noEmpty(cmd, args)
	}
}

// mayHaveTwo asks for at most two arguments, none of them empty.
func mayHaveTwo(names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 2 {
			return control.Errorf(control.CodeUsage, "%s takes at most %s", cmd.CommandPath(), names)
		}
		return noEmpty(cmd, args)
	}
}

func noEmpty(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if arg == "" {
			return control.Errorf(control.CodeUsage, "%s was given an empty argument", cmd.CommandPath())
		}
	}
	return nil
}
