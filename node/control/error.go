package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// Code is the kind of an error: what the caller does about it. Codes travel as text and are never renamed.
type Code string

// The codes. Each has one exit code and one HTTP status.
const (
	CodeFailed     Code = "failed"      // it did not work; the message says why
	CodeUsage      Code = "usage"       // the request makes no sense as it stands
	CodeNotRunning Code = "not-running" // no daemon uses this home; made by the client, never sent
	CodeTimeout    Code = "timeout"     // the time that the caller gave was not enough
	CodeRefused    Code = "refused"     // not allowed, denied by a person, or a person must approve first
	CodeConflict   Code = "conflict"    // conflict or damage was found
)

// ErrNotFound marks an error about something that does not exist: the code stays, the HTTP status becomes 404.
var ErrNotFound = errors.New("not found")

// Error is an error with a code: what a backend returns when the code is not CodeFailed, and what a client gets back.
// The zero value is not used. It may wrap a cause, which stays on this side of the socket.
type Error struct {
	Code    Code
	Message string // for a person: what happened, to what, what to do next
	Owed    []Owed // by whom what is owed; only of a wait that timed out

	cause error
}

// Errorf makes an Error. The format is that of fmt.Errorf, %w included.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: err}
}

// notFoundf makes a CodeFailed error that is also ErrNotFound.
func notFoundf(format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	return &Error{Code: CodeFailed, Message: message, cause: ErrNotFound}
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns what Errorf wrapped.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf tells the code of any error:
//   - an *Error anywhere in its chain: that one's code;
//   - a deadline that passed: CodeTimeout;
//   - anything else: CodeFailed.
func CodeOf(err error) Code {
	var coded *Error
	switch {
	case errors.As(err, &coded):
		return coded.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	}
	return CodeFailed
}

// ExitCode tells how a command ends with err: 0 for nil, else by code, 1 to 6.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	switch CodeOf(err) {
	case CodeUsage:
		return 2
	case CodeNotRunning:
		return 3
	case CodeTimeout:
		return 4
	case CodeRefused:
		return 5
	case CodeConflict:
		return 6
	}
	return 1
}

// httpStatus tells the HTTP status for err, which is not nil.
func httpStatus(err error) int {
	switch CodeOf(err) {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeRefused:
		return http.StatusForbidden
	case CodeConflict:
		return http.StatusConflict
	}
	if errors.Is(err, ErrNotFound) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// errorBody is the JSON of every answer that is not a success.
type errorBody struct {
	Error struct {
		Code    Code   `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Owed []Owed `json:"owed,omitempty"`
}

func newErrorBody(err error) errorBody {
	var body errorBody
	body.Error.Code = CodeOf(err)
	body.Error.Message = err.Error()
	var coded *Error
	if errors.As(err, &coded) {
		body.Owed = coded.Owed
	}
	return body
}

// asError is the inverse of newErrorBody. An unknown code counts as CodeFailed.
func (b errorBody) asError() *Error {
	err := &Error{Code: b.Error.Code, Message: b.Error.Message, Owed: b.Owed}
	switch err.Code {
	case CodeFailed, CodeUsage, CodeTimeout, CodeRefused, CodeConflict:
	default:
		err.Code = CodeFailed
	}
	return err
}
