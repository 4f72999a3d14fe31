package index

// damage carries an error out of methods that cannot return one; Update and View turn it into an error.
type damage struct{ err error }

// catchDamage runs fn and returns the error that it panicked with, if it did.
func catchDamage(fn func() error) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case damage:
			err = r.err
		default:
			panic(r)
		}
	}()
	return fn()
}
