package control

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
)

// sampleStatus has another value in every field.
func sampleStatus() Status {
	self := shoal.DeviceID{0: 1, 31: 1}
	journal := shoal.JournalID{Device: self, Nonce: 0xa1b2}
	return Status{
		Device:    Self{ID: self.String(), Name: "laptop", Role: "owner"},
		Addresses: []string{"/ip4/192.168.1.4/tcp/4001/p2p/" + self.String()},
		API:       "http://127.0.0.1:8384",
		Folders: []FolderStatus{{
			Name: "Shoal", ID: shoal.FolderID{0: 1, 15: 1}.String(), Path: "/home/ann/Shoal \xff", State: StateError, Error: "the root is missing",
			Files: 1, Bytes: 2, NeedFiles: 3, NeedBytes: 4, Conflicts: 5,
			Frontier: map[string]shoal.Seq{journal.String(): 1<<64 - 1}, CopiesMin: 6, CopiesClaimed: 7,
		}},
		Devices: []DeviceStatus{{
			ID: shoal.DeviceID{0: 2, 31: 1}.String(), Name: "phone", Role: "member", Connected: true, Address: "/ip4/192.168.1.5/tcp/4001",
			Transport: TransportRelay, Folders: map[string]Need{"Shoal": {NeedFiles: 7, NeedBytes: 8}},
		}},
		Transfer: Transfer{InBytesPerS: 9, OutBytesPerS: 10},
		Problems: []Problem{{
			Folder: "Shoal", Path: "a:b", Kind: "name", Message: "this disk cannot hold the name",
			Since: time.Date(2026, 11, 22, 14, 3, 5, 0, time.UTC),
		}},
	}
}

// The file is the contract with outside programs: fields may be added to it, none changed.
func TestStatusIsTheJSONThatProgramsRelyOn(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(sampleStatus(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("status is\n%s\nwant\n%s", got, want)
	}
	var back Status
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(back, "", "  ")
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("read and written again it is\n%s (%v)", again, err)
	}
}

func TestListsInAnswersAreNeverNull(t *testing.T) {
	status := Status{Folders: []FolderStatus{{}}, Devices: []DeviceStatus{{}}}
	for what, answer := range map[string]any{
		"status": status.withEmpties(), "empty status": Status{}.withEmpties(), "folder": Folder{}.withEmpties(), "device": Device{}.withEmpties(),
		"conflict": Conflict{}.under("/"), "list": orEmpty[Event](nil), "mapped list": mapped(nil, Folder.withEmpties),
	} {
		raw, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("null")) {
			t.Errorf("%s is %s", what, raw)
		}
	}
}
