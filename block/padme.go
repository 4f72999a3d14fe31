package block

import "math/bits"

// Padme returns n rounded up to a length with a mantissa no longer than its exponent's own length, which leaks O(log log n) bits
// of n: at most 12 % more, about 2 % on average (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and
// Communication with PURBs", PoPETs 2019, §4). n below 2 comes back as it is; Padme(Padme(n)) == Padme(n).
func Padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	mask := 1<<(e-s) - 1 // e ≥ s for every e ≥ 1
	return (n + mask) &^ mask
}
