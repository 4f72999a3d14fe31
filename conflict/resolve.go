package conflict

// Resolve says what stands at a path that has these live records. livingChildren tells whether anything inside the path
// exists.
func Resolve(records []Sibling, lin Lineage, livingChildren bool) Resolution {
	panic("conflict: not written yet")
}
