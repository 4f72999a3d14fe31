// Program mutants puts deliberate bugs into a copy of this module, one at a time, and looks whether the tests notice.
//
//	go run ./e2e/mutants                 all of them
//	go run ./e2e/mutants -only yield     those with "yield" in their name
//
// A mutant is one file of the folder list:
//
//	What is wrong, in a sentence.
//
//	test: ./conflict -run ^TestYielding$
//	file: conflict/yield.go
//	--- old
//	the text that is taken out: whole lines that are in the file exactly once
//	--- new
//	the lines that are put there instead
//
// "file" with its two texts may come again. The test's words are arguments of `go test`. A mutant is caught when it builds, that command fails with
// a failing test, and this very test, with the seed that it failed with, passes on the code as it is. The program says which test caught which mutant,
// and exits with 1 when one survives, does not build, or does not fit the code any more; the latter is also seen by the tests of this package.
package main
