package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoalmesh/shoal"
)

// FuzzMarker: a marker is taken for this folder and device only when it says exactly that.
func FuzzMarker(f *testing.F) {
	folder, device := shoal.FolderID{7}, shoal.DeviceID{8}
	f.Add([]byte(nil))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"folder":"` + folder.String() + `","device":"` + device.String() + `"}`))
	f.Add([]byte(`{"folder":"` + folder.String() + `","device":"x"} `))
	f.Fuzz(func(t *testing.T, raw []byte) {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, shoal.ReservedName), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(markerPath(root), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if checkMarker(root, folder, device) != nil {
			return
		}
		m, err := readMarker(root)
		if err != nil || m.Folder != folder.String() || m.Device != device.String() {
			t.Fatalf("%q is accepted: %+v, %v", raw, m, err)
		}
		if checkMarker(root, shoal.FolderID{9}, device) == nil || checkMarker(root, folder, shoal.DeviceID{9}) == nil {
			t.Fatal("accepted for another folder or device, too")
		}
	})
}
