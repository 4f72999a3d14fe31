//go:build !linux && !darwin

package disk

// OS is a tree on the disks of this machine.
type OS struct{ *Portable }

// Open holds the folder root open as the root of a tree.
func Open(root string) (*OS, error) {
	p, err := OpenPortable(root)
	if err != nil {
		return nil, err
	}
	return &OS{p}, nil
}
