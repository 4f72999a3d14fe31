//go:build linux

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// renameFolder and copyFolder bring a folder of small files, which the other end has, under another name.
var (
	renameFolder = folderChange("renamefolder", "a folder of %d small files renamed", os.Rename)
	copyFolder   = folderChange("copyfolder", "a folder of %d small files copied", lab.CopyTree)
)

func folderChange(name, what string, change func(from, to string) error) workload {
	return workload{
		name: name, many: true,
		what: func(c config) string { return fmt.Sprintf(what, c.files) },
		run: func(ctx context.Context, s *session) (outcome, error) {
			if err := lab.SmallFiles(s.prepared("small"), s.files, smallLeast, smallMost, 2); err != nil {
				return outcome{}, err
			}
			c, err := s.change(ctx, "small", func(path string) error { return change(path, path+" again") })
			return outcome{cost: c, files: s.files}, err
		},
	}
}
