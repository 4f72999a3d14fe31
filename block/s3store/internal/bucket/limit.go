package bucket

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// limitKey carries the most bytes that the body of an answer may have, from an attempt to the transport.
type limitKey struct{}

// limited is a transport whose answers end with ErrSize behind the limit of their request.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	limit, ok := r.Context().Value(limitKey{}).(int64)
	if !ok {
		limit = maxListing
	}
	if answer.StatusCode >= 300 {
		limit = maxRefusal
	}
	answer.Body = &limitedBody{body: answer.Body, left: limit}
	return answer, nil
}

// The most bytes of an answer that is no object.
const (
	maxListing = 8 << 20
	maxRefusal = 64 << 10
)

func withLimit(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

// limitedBody returns ErrSize when there is more than left.
type limitedBody struct {
	body io.ReadCloser
	left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLong
	}
	return n, err
}

func (b *limitedBody) Close() error { return b.body.Close() }

var errTooLong = fmt.Errorf("answer is longer than it may be: %w", ErrSize)
