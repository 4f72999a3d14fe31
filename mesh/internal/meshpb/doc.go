// Package meshpb is the generated wire form of roster statements; nothing but package mesh sees it.
//
// Made from roster.proto by: protoc --go_out=. --go_opt=paths=source_relative roster.proto
package meshpb
