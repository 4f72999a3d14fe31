package kv

import (
	"fmt"
	"runtime/debug"
)

// damage is what a panic inside bbolt is turned into on its way out: bbolt panics where its pages make no sense.
type damage struct{ reason any }

// markDamage is deferred around calls into bbolt.
func markDamage() {
	if r := recover(); r != nil {
		if _, ok := r.(damage); ok {
			panic(r)
		}
		panic(damage{r})
	}
}

// fault is how the runtime reports an access to a bad address: the map behind a damaged or shortened file.
type fault interface {
	error
	Addr() uintptr
}

// catch runs fn and turns signs of a damaged file into errors that wrap ErrDamaged. Other panics go on.
func catch(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case damage:
			err = fmt.Errorf("%w: %v", ErrDamaged, r.reason)
		case fault:
			err = fmt.Errorf("%w: %w", ErrDamaged, r)
		default:
			panic(r)
		}
	}()
	return fn()
}
