// Package blocktest helps to test what keeps sealed blocks: Run is the conformance suite of block.Store, and Mem is a store in
// memory that obeys the same contract, with knobs for failure, a full disk, damage and crash. It is for tests only and never
// linked into the program.
package blocktest
