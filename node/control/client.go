package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"syscall"
	"time"
)

// maxAnswer bounds an answer that is one document, in bytes: a log of maxLog events with long paths.
const maxAnswer = 256 << 20

// Client asks the daemon of one home. Every method returns an *Error when the daemon answered with one, and one with
// CodeNotRunning when no daemon listens. Names of folders, devices and guests may be IDs. It is safe for concurrent use.
type Client struct {
	home string
	http *http.Client
	log  *slog.Logger
}

// NewClient makes a client for the daemon of the home dir. It connects when it is used. log gets one line for each
// request at debug level.
func NewClient(dir string, log *slog.Logger) (*Client, error) {
	home, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("home %s: %w", dir, err)
	}
	c := &Client{home: home, log: log}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) },
		DisableCompression: true,
		MaxIdleConns:       1,
	}}
	return c, nil
}

// Close ends idle connections. It may be called twice.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := viaShortPath(filepath.Join(c.home, SocketName), func(short string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", short)
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, Errorf(CodeNotRunning, "Shoal is not running with home %s", c.home)
	}
	return conn, err
}

// do sends one request and reads the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	answer, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of the daemon: %w", err)
	}
	return nil
}

// send sends one request. The caller closes the body of the answer, whose status is 200.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://shoal"+path, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	c.log.Debug("asked the daemon", "method", method, "path", req.URL.Path, "status", answer.StatusCode)
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	var failed errorBody
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&failed); err != nil || failed.Error.Message == "" {
		return nil, fmt.Errorf("daemon answered %s", answer.Status)
	}
	return nil, failed.asError()
}

// explain takes the wrapping of net/http from an error, for it repeats the address that nobody typed.
func (c *Client) explain(err error) error {
	var coded *Error
	if errors.As(err, &coded) {
		return coded
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return Errorf(CodeNotRunning, "Shoal stopped before it answered")
	}
	return fmt.Errorf("ask the daemon: %w", err)
}

// stopPause is how often WaitStopped looks.
const stopPause = 20 * time.Millisecond

// WaitStopped returns when no process uses the home any more, or ctx ends.
func (c *Client) WaitStopped(ctx context.Context) error {
	tick := time.NewTicker(stopPause)
	defer tick.Stop()
	for {
		used, err := homeInUse(c.home)
		if err != nil || !used {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
