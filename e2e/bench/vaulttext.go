//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// textFiles is how many files the text stands in, so that a peer which reads several at once may.
const textFiles = 16

// vaultText gives text that compresses, and has nothing twice, to a store.
var vaultText = keeping("vaulttext", "a store of SIZE of text", false, func(_ context.Context, s *session, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for i := range int64(textFiles) {
		if err := lab.TextFile(filepath.Join(dir, fmt.Sprintf("text%02d", i)), s.sizeMiB<<20/textFiles, uint64(100+i)); err != nil {
			return err
		}
	}
	return nil
})
