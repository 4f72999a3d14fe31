// Program s3server is versitygw's S3 server with its back end for directories, for tests, and nothing else of it: its own program takes half as long again to compile.
//
//	s3server [-sidecar DIR] -listen SOCKET-OR-ADDRESS DIR
//
// Each folder in DIR is a bucket. Environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY of its only user.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "s3server:", err)
		os.Exit(1)
	}
}

func serve() error {
	listen := flag.String("listen", "127.0.0.1:7070", "address, or absolute path of a Unix `socket`")
	sidecar := flag.String("sidecar", "", "keep metadata in this `folder`; without it, in extended attributes, which change together with the object")
	flag.Parse()
	if flag.NArg() != 1 {
		return errors.New("one folder is needed, whose folders are the buckets")
	}
	root := flag.Arg(0)
	// One process serves a folder, so its own locks do. The limits are those of versitygw's program.
	opts := posix.PosixOpts{SideCarDir: *sidecar, ForceNoObjLockFile: true, Concurrency: 5000, CopyObjectThreshold: 5 << 30}
	var kept meta.MetadataStorer = meta.XattrMeta{}
	if *sidecar != "" {
		beside, err := meta.NewSideCar(*sidecar)
		if err != nil {
			return err
		}
		kept = beside
	} else if err := (meta.XattrMeta{}).Test(root); err != nil {
		return fmt.Errorf("keep extended attributes in %s: %w", root, err)
	}
	store, err := posix.New(root, kept, opts)
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), store, &embedgw.Config{
		RootUserAccess: os.Getenv("AWS_ACCESS_KEY_ID"), RootUserSecret: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		Ports: []string{*listen}, MaxConnections: 250_000, MaxRequests: 100_000, MultipartMaxParts: 10_000,
		KeepAlive: true, Quiet: true,
	})
}
