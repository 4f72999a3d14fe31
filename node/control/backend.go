package control

import (
	"errors"
	"fmt"
	"reflect"
)

// Backend is everything that a running device offers, by subject. Every field must be set; one type may stand in several.
//
// What holds for all methods: they may be called at once from many goroutines; ctx ends when the caller has gone, and the
// method then returns soon; slices and maps that are returned are not touched again by the backend; an error that is not an
// *Error counts as CodeFailed; an ID that names nothing returns an error that wraps ErrNotFound.
type Backend struct {
	Daemon    Daemon
	Folders   Folders
	Upkeep    Upkeep
	Devices   Devices
	Pairing   Pairing
	Conflicts Conflicts
	Events    Events
	Health    Health
}

// Validate names every subject that is missing.
func (b Backend) Validate() error {
	var missing []error
	v := reflect.ValueOf(b)
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			missing = append(missing, fmt.Errorf("backend has no %s", v.Type().Field(i).Name))
		}
	}
	return errors.Join(missing...)
}
