//go:build race

package indexexchange

const raceEnabled = true
