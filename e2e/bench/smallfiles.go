//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// Sizes of the small files, in bytes.
const (
	smallLeast = 1 << 10
	smallMost  = 32 << 10
)

// smallFiles is the first sync of many small files.
var smallFiles = workload{
	name: "smallfiles", many: true,
	what: func(c config) string { return fmt.Sprintf("first sync, %d files of 1–32 KiB", c.files) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		if err := lab.SmallFiles(s.prepared("small"), s.files, smallLeast, smallMost, 2); err != nil {
			return outcome{}, err
		}
		return s.bringTree(ctx, "small")
	},
}
