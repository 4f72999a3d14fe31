// Package s3test starts a real S3 server for tests and puts a line in front of it that fails on demand. It is for tests only and never linked into
// the program.
//
// The server is versitygw with its back end for directories, built from the module e2e/s3server, whose go.mod pins the version: the
// first test of a fresh machine builds it, which takes a minute; after that it comes from Go's build cache. It listens on a Unix socket
// in a temporary directory, and ends with the test's process, however that ends.
//
//	func TestMain(m *testing.M) { os.Exit(s3test.Main(m)) }
//
//	func TestX(t *testing.T) {
//		line := s3test.NewLine(t)      // a port of its own on loopback, in front of the shared server
//		url := line.Bucket(t)          // a new bucket: http://127.0.0.1:PORT/NAME
//		line.Fail(func(r *http.Request) s3test.Fault { … })
package s3test
