package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// Errors that callers decide on.
var (
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("object not found")
	// ErrChanged: the condition of a write does not hold: another was there first.
	ErrChanged = errors.New("object was changed by another")
	// ErrSize: an object is longer than its reader or writer allows.
	ErrSize = errors.New("object size out of range")
)

// Errors that a person must act on.
var (
	// ErrCredentials: no credentials were found, or the server refuses those which were.
	ErrCredentials = errors.New("credentials are missing or refused: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws/credentials")
	// ErrClock: the clock of this machine and that of the server differ by more than the server allows.
	ErrClock = errors.New("server refuses requests because this machine's clock is wrong: set it")
	// ErrNoBucket: the bucket does not exist. It is not created, since its owner, region and rules are its maker's choice.
	ErrNoBucket = errors.New("bucket does not exist: create it first")
	// ErrUnsupported: the server cannot do what a store needs.
	ErrUnsupported = errors.New("server is not fit to be shared by several processes")
	// ErrServer: the server did not answer, or only with errors, as often as it was asked.
	ErrServer = errors.New("server does not serve")
	// ErrAnswer: what the server answered cannot be true: an object of another length than was asked for, a listing out of order.
	ErrAnswer = errors.New("server answers wrongly")
)

// outcome sorts an error of one attempt: what it means to the caller, and whether another attempt may go better. unsure tells that the
// server may have done what was asked.
type outcome struct {
	err    error
	again  bool
	unsure bool
}

// sort finds out what came of an attempt that failed with err. ctx is the caller's, not the attempt's.
func sort(ctx context.Context, err error) outcome {
	if ctx.Err() != nil {
		return outcome{err: ctx.Err()}
	}
	for _, final := range []error{ErrSize, ErrCredentials} {
		if errors.Is(err, final) {
			return outcome{err: err}
		}
	}
	if errors.Is(err, ErrAnswer) {
		return outcome{err: err, again: true}
	}
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok || answer.StatusCode == 0 {
		return outcome{err: fmt.Errorf("%w: %w", ErrServer, plain(err)), again: true, unsure: true}
	}
	return sortAnswer(answer)
}

// plain drops everything of an error but its innermost network reason, which has neither URL nor header in it.
func plain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return err
}

func sortAnswer(a minio.ErrorResponse) outcome {
	said := fmt.Sprintf("status %d %s", a.StatusCode, a.Code)
	if a.Message != "" {
		said += ": " + clip(a.Message)
	}
	switch {
	case a.Code == "NoSuchBucket":
		return outcome{err: ErrNoBucket}
	case a.StatusCode == http.StatusPreconditionFailed:
		return outcome{err: ErrChanged}
	case a.StatusCode == http.StatusNotFound:
		return outcome{err: ErrNotFound}
	case a.StatusCode == http.StatusNotImplemented || a.Code == "NotImplemented":
		return outcome{err: fmt.Errorf("%s: %w", said, ErrUnsupported)}
	case a.Code == "RequestTimeTooSkewed":
		return outcome{err: fmt.Errorf("%s: %w", said, ErrClock)}
	case a.StatusCode == http.StatusForbidden || a.StatusCode == http.StatusUnauthorized:
		return outcome{err: fmt.Errorf("%s: %w", said, ErrCredentials)}
	case a.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return outcome{err: fmt.Errorf("object is shorter than it should be: %w", ErrAnswer)}
	case a.StatusCode >= 500, a.StatusCode == http.StatusTooManyRequests, a.StatusCode == http.StatusRequestTimeout,
		a.StatusCode == http.StatusConflict, a.Code == "RequestTimeout", a.Code == "BadDigest", a.Code == "IncompleteBody":
		return outcome{err: fmt.Errorf("%w: %s", ErrServer, said), again: true, unsure: a.StatusCode >= 500}
	}
	return outcome{err: fmt.Errorf("%w: %s", ErrAnswer, said)}
}

// clip bounds what a server says before it goes into a message.
func clip(s string) string {
	const limit = 200
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return fmt.Sprintf("%q", s)
}
