package control

// Routes are the patterns that the server answers, for tests in package control_test.
func Routes() []string {
	patterns := []string{eventsPattern, deepPattern}
	for _, r := range routes {
		patterns = append(patterns, r.pattern)
	}
	return patterns
}

// MaxStreams is how many streams of events may be open at once.
const MaxStreams = maxStreams
