package conflict

import "time"

// CopyName names a conflict copy.
func CopyName(name, device string, at time.Time, digest [32]byte, taken func(string) bool) string {
	panic("conflict: not written yet")
}
