//go:build linux

package main

import (
	"context"
	"path/filepath"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// goSource is the first sync of a real tree of text.
var goSource = workload{
	name: "gosource", many: true,
	what: func(config) string { return "first sync, the Go source tree" },
	run: func(ctx context.Context, s *session) (outcome, error) {
		root, err := firstLine(ctx, "go", "env", "GOROOT")
		if err != nil {
			return outcome{}, err
		}
		if err := lab.CopyTree(filepath.Join(root, "src"), s.prepared("src")); err != nil {
			return outcome{}, err
		}
		return s.bringTree(ctx, "src")
	},
}
