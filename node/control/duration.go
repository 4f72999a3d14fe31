package control

import (
	"fmt"
	"time"
)

// duration is a time.Duration that is text in JSON, as in "1m30s".
type duration time.Duration

// MarshalText writes the form of time.Duration.String.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form of time.ParseDuration.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*d = duration(v)
	return nil
}
