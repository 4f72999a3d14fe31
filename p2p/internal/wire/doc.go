// Package wire holds the generated protobuf messages of package p2p. They are converted to the package's own types at
// the border, and validated there.
package wire

//go:generate protoc --go_out=. --go_opt=paths=source_relative wire.proto recover.proto
