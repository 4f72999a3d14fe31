// Package pb is the generated code of package index's formats. The record's two parts are encoded by hand in package index,
// because their bytes must come out the same for ever; tests compare the two.
package pb
