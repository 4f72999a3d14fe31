package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the server knows its only user by.
const (
	accessKey = "s3test"
	secretKey = "s3test-secret-of-no-worth"
)

// Server is a running S3 server.
type Server struct {
	socket string
	root   string // each directory in it is a bucket
	dir    string // holds all that the server has; removed by Close
	cmd    *exec.Cmd
	stdin  io.Closer // the server ends when it is closed
	said   *bytes.Buffer
}

var (
	sharedOnce sync.Once
	shared     *Server
	errShared  error
)

// Shared returns the server of this process, and starts it if need be. Main ends it.
func Shared(t testing.TB) *Server {
	t.Helper()
	sharedOnce.Do(func() { shared, errShared = Start() })
	if errShared != nil {
		t.Fatal("start S3 server:", errShared)
	}
	return shared
}

// Main runs the tests and ends the server that they started, if they did. It sets the credentials that it accepts in the environment.
func Main(m *testing.M) int {
	os.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	code := m.Run()
	if shared != nil {
		if err := shared.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Start builds the server, if it is not in the build cache, and starts it with an empty directory.
func Start() (_ *Server, err error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "s3test") // short, since the name of a socket must be
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, socket: filepath.Join(dir, "s"), root: filepath.Join(dir, "buckets")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := os.Mkdir(s.root, 0o700); err != nil {
		return nil, err
	}
	// Metadata belongs into extended attributes, which change together with the object. Where the file system has none, files beside it have to do.
	if err = s.run(program); err == nil {
		return s, nil
	}
	sidecar := filepath.Join(dir, "metadata")
	if err := os.Mkdir(sidecar, 0o700); err != nil {
		return nil, err
	}
	return s, errors.Join(err, s.run(program, "-sidecar", sidecar))
}

// build returns the path of the server's program.
func build() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	module := filepath.Join(filepath.Dir(here), "../../../e2e/s3server")
	cmd := exec.Command("go", "-C", module, "tool", "-n", "s3server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=", "GOARCH=")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build S3 server in %s: %w\n%s", module, err, said.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// untilStdinEnds runs its arguments as a program, and ends it when nobody holds the standard input any more.
const untilStdinEnds = `"$@" </dev/null & p=$!; read _; kill -9 $p; wait $p`

// run starts the program and waits until it serves.
func (s *Server) run(program string, more ...string) error {
	args := append([]string{"-c", untilStdinEnds, "sh", program, "-listen", s.socket}, more...)
	cmd := exec.Command("sh", append(args, s.root)...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey)
	s.said = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = s.said, s.said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.stdin = cmd, stdin
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", s.socket)
		if err == nil {
			return conn.Close()
		}
		select { // until the socket is there; nothing tells
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("server does not listen: %w\n%s", errors.Join(ctx.Err(), s.stop()), s.said)
}

func (s *Server) stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.stdin.Close()
	if waited := s.cmd.Wait(); waited != nil {
		if _, killed := errors.AsType[*exec.ExitError](waited); !killed {
			err = errors.Join(err, waited)
		}
	}
	s.cmd = nil
	return err
}

// Close ends the server and removes all that it holds.
func (s *Server) Close() error { return errors.Join(s.stop(), os.RemoveAll(s.dir)) }
