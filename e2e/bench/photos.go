//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// Photos as a telephone takes them: they do not compress, and each is some blocks long. Sizes in bytes.
const (
	photoCount = 400
	photoLeast = 3 << 20
	photoMost  = 6 << 20
)

// photos is the first sync of an album.
var photos = workload{
	name: "photos",
	what: func(config) string { return fmt.Sprintf("first sync, %d photos of 3–6 MiB", photoCount) },
	run: func(ctx context.Context, s *session) (outcome, error) {
		if err := lab.SmallFiles(s.prepared("photos"), photoCount, photoLeast, photoMost, 4); err != nil {
			return outcome{}, err
		}
		return s.bringTree(ctx, "photos")
	},
}
