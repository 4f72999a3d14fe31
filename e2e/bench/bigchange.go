//go:build linux

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// Sizes of changes to a big file, in bytes.
const (
	overwriteSize = 1 << 20
	appendSize    = 10 << 20
)

// overwrite is a part in the middle of a big file, written anew in place.
var overwrite = bigChange("overwrite", "1 MiB overwritten in the middle of %d MiB", func(name string, size int64) error {
	return lab.Overwrite(name, size/2, overwriteSize, 5)
})

// appended is a big file that gets longer.
var appended = bigChange("append", "10 MiB appended to %d MiB", func(name string, size int64) error {
	return lab.Overwrite(name, size, appendSize, 6)
})

// renameBig and copyBig bring a content that the other end has under another name.
var (
	renameBig = bigChange("rename", "%d MiB renamed", func(name string, _ int64) error {
		return os.Rename(name, name+" renamed")
	})
	copyBig = bigChange("copy", "%d MiB copied", func(name string, _ int64) error {
		return lab.CopyFile(name, name+" copied")
	})
)

// bigChange is a change to a big file that both ends have. The clock begins when the change is made.
func bigChange(name, what string, change func(name string, size int64) error) workload {
	return workload{
		name: name,
		what: func(c config) string { return fmt.Sprintf(what, c.sizeMiB) },
		run: func(ctx context.Context, s *session) (outcome, error) {
			size := s.sizeMiB << 20
			if err := lab.RandomFile(s.prepared("big"), size, 3); err != nil {
				return outcome{}, err
			}
			c, err := s.change(ctx, "big", func(path string) error { return change(path, size) })
			return outcome{cost: c, files: 1}, err
		},
	}
}
