package kv

// OpenLater is Open with buckets whose changes come later, in so small parts that a test sees all of it happen.
func OpenLater(path string, later func(string) bool) (*Bolt, error) {
	defer func(l laterLimits) { defaultLimits = l }(defaultLimits)
	defaultLimits = laterLimits{changes: 6, stretch: 2, cut: 3}
	return Open(path, BoltOptions{NoSync: true, Later: later})
}

// Waiting returns how many changes of a bucket are not in place, and how many are in its log.
func (b *Bolt) Waiting(bucket string) (changes, logged int) {
	if l := b.later.Load().newest.buckets[bucket]; l != nil {
		return l.changes.Len(), l.logged
	}
	return 0, 0
}

// ReadEntry and AppendChange are the format of the log.
var (
	ReadEntry    = readEntry
	AppendChange = appendChange
)
