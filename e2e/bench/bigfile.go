//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// bigFile is the first sync of one big file that does not compress.
var bigFile = workload{
	name: "bigfile",
	what: func(c config) string { return fmt.Sprintf("first sync, one file of %d MiB", c.sizeMiB) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		if err := lab.RandomFile(s.prepared("big"), s.sizeMiB<<20, 1); err != nil {
			return outcome{}, err
		}
		return s.bringTree(ctx, "big")
	},
}
