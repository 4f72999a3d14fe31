package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/shoalmesh/shoal/node"
	"github.com/shoalmesh/shoal/node/control"
)

// phraseTries is how often a person may type the phrase.
const phraseTries = 3

type recoverFlags struct {
	daemonFlags
	vault        string
	phraseFile   string
	revokeOthers bool
	once         bool
}

func newRecover(a *app) *cobra.Command {
	var f recoverFlags
	cmd := &cobra.Command{
		Use:   "recover --vault ADDR DIR",
		Short: "Bring everything back with the 24 words",
		Long: `Makes this a new device of your mesh with nothing but the 24 words of its recovery phrase and
the address of one vault or device of it that is still there. It becomes an owner.

The mesh's first folder comes back in DIR, every other one beside it under its own name. The files
that were modified last come first, 2,000 at a time, and what has come can be used while the rest is
on its way. Then it runs like "shoal up"; with --once it ends when everything is here.

The words are asked for on the terminal, which does not show them, or read from standard input or
--phrase-file. Devices that are lost stay in the mesh until "shoal devices revoke" puts them
out; --revoke-others puts out all but vaults and the one that is recovered from. What they wrote and
nobody who is reached has is lost with that.

In a home that is in the mesh already it gives the keys that are lacking, if the words open them.`,
		Example: `  shoal recover --vault 192.0.2.7:4001 ~/Shoal
  shoal recover --vault /ip4/192.0.2.7/tcp/4001 --phrase-file words.txt --once /data`,
		Args: needArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := f.config(cmd.Context(), a, args)
			if err != nil {
				return err
			}
			return a.runDaemon(cmd.Context(), c)
		},
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.vault, "vault", "", "`address` of a vault or device of the mesh: host:port or a multiaddr")
	flags.StringVar(&f.phraseFile, "phrase-file", "", "read the 24 words from this `file`; - is standard input")
	flags.BoolVar(&f.revokeOthers, "revoke-others", false, "put out all other devices but vaults and the one that is recovered from")
	flags.BoolVar(&f.once, "once", false, "end when everything is here")
	return cmd
}

func (f *recoverFlags) config(ctx context.Context, a *app, args []string) (daemonConfig, error) {
	c, err := f.daemonFlags.config(a)
	if err != nil {
		return c, err
	}
	if c.Dir, err = absolute(args[0]); err != nil {
		return c, err
	}
	words, err := f.words(ctx, a)
	if err != nil {
		return c, err
	}
	c.Recover = &node.Recover{Words: words, Vault: f.vault, RevokeOthers: f.revokeOthers, Once: f.once}
	c.Log = a.logger(slog.LevelWarn)
	c.Ready = func(s control.Started) { printStarted(a, s) }
	return c, nil
}

// words gets the recovery phrase from wherever it is.
func (f *recoverFlags) words(ctx context.Context, a *app) (*node.Words, error) {
	switch {
	case f.phraseFile != "" && f.phraseFile != "-":
		file, err := os.Open(f.phraseFile)
		if err != nil {
			return nil, control.Errorf(control.CodeFailed, "read the words: %w", err)
		}
		defer func() { _ = file.Close() }()
		return readWords(file)
	case f.phraseFile == "-" || !a.console.InTerminal:
		return readWords(a.console.In)
	}
	for try := 1; ; try++ {
		text, err := a.console.AskSecret(ctx, "The 24 words, with spaces between them (they are not shown):", node.MaxWords)
		if err != nil {
			return nil, control.Errorf(control.CodeUsage, "read the words: %w", err)
		}
		words, err := node.ReadWords(text)
		if err == nil || try == phraseTries {
			return words, err
		}
		a.console.Notef("%v", err)
	}
}

// readWords reads a phrase to the end, into memory that is overwritten.
func readWords(r io.Reader) (*node.Words, error) {
	text := make([]byte, node.MaxWords+1)
	n, err := io.ReadFull(r, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		clear(text)
		return nil, control.Errorf(control.CodeFailed, "read the words: %w", err)
	}
	return node.ReadWords(text[:n])
}
