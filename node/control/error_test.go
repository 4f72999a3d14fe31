package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
)

func TestEachCodeHasOneExitCodeAndOneStatus(t *testing.T) {
	for _, row := range []struct {
		name   string
		err    error
		code   Code
		exit   int
		status int
	}{
		{"failed", Errorf(CodeFailed, "x"), CodeFailed, 1, 500},
		{"not there", notFoundf("x"), CodeFailed, 1, 404},
		{"not there, wrapped by a backend", Errorf(CodeFailed, "folder: %w", ErrNotFound), CodeFailed, 1, 404},
		{"usage", Errorf(CodeUsage, "x"), CodeUsage, 2, 400},
		{"not running", Errorf(CodeNotRunning, "x"), CodeNotRunning, 3, 500},
		{"timeout", Errorf(CodeTimeout, "x"), CodeTimeout, 4, 504},
		{"a deadline", fmt.Errorf("wait: %w", context.DeadlineExceeded), CodeTimeout, 4, 504},
		{"refused", Errorf(CodeRefused, "x"), CodeRefused, 5, 403},
		{"conflict", Errorf(CodeConflict, "x"), CodeConflict, 6, 409},
		{"an error without a code", errors.New("disk on fire"), CodeFailed, 1, 500},
		{"a code inside another error", fmt.Errorf("rescan: %w", Errorf(CodeRefused, "x")), CodeRefused, 5, 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := CodeOf(row.err); got != row.code {
				t.Errorf("code %s, want %s", got, row.code)
			}
			if got := ExitCode(row.err); got != row.exit {
				t.Errorf("exit code %d, want %d", got, row.exit)
			}
			if got := httpStatus(row.err); got != row.status {
				t.Errorf("status %d %s, want %d", got, http.StatusText(got), row.status)
			}
		})
	}
	if got := ExitCode(nil); got != 0 {
		t.Errorf("exit code of no error %d", got)
	}
}

func TestAnUnknownCodeFromANewerDaemonCountsAsFailed(t *testing.T) {
	body := newErrorBody(Errorf("exploded", "boom"))
	if got := body.asError(); got.Code != CodeFailed || got.Message != "boom" {
		t.Errorf("got %+v", got)
	}
}
