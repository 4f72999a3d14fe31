//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// insertHead is one byte inserted at the head of a big file that both ends have.
var insertHead = workload{
	name: "insert",
	what: func(c config) string { return fmt.Sprintf("one byte inserted at the head of %d MiB", c.sizeMiB) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		if err := lab.RandomFile(s.prepared("big"), s.sizeMiB<<20, 3); err != nil {
			return outcome{}, err
		}
		if _, err := s.bring(ctx, "big"); err != nil {
			return outcome{}, err
		}
		if err := writeInserted(s.prepared("big"), s.sizeMiB<<20, 3); err != nil {
			return outcome{}, err
		}
		c, err := s.bring(ctx, "big")
		return outcome{cost: c, bytes: s.sizeMiB<<20 + 1, files: 1}, err
	},
}

// writeInserted writes what lab.RandomFile does, with one byte before it.
func writeInserted(name string, size int64, seed uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write([]byte{'!'}); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(lab.Random(seed), size), make([]byte, 1<<20)); err != nil {
		return err
	}
	return f.Close()
}
