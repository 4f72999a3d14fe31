package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
)

func TestADutyTellsHowItEndedLast(t *testing.T) {
	var d duties
	k := dutyKey{dutyStatus, shoal.FolderID{1}}
	expect := func(when string, state control.CheckState, parts ...string) {
		t.Helper()
		c := d.check(k, "Shoal")
		text := c.Message + " " + c.Fix
		for _, p := range parts {
			if !strings.Contains(text, p) {
				t.Errorf("%s: %q does not tell %q", when, text, p)
			}
		}
		if c.State != state || c.Name != dutyStatus || !strings.HasPrefix(c.Message, "Shoal: ") {
			t.Errorf("%s: %+v", when, c)
		}
	}
	expect("at the start", control.CheckOK, "nothing to do")
	d.ended(k, errors.New("no room"))
	expect("after a failure", control.CheckWarn, "no room", "not done since the start")
	d.ended(k, nil)
	expect("after a success", control.CheckOK, "Last done 0s ago", "no room")
	d.ended(k, errors.New("again"))
	expect("after another failure", control.CheckWarn, "again", "last done 0s ago")
	d.told(dutyRoster)(nil)
	d.forget(k.folder)
	expect("of a folder that is gone", control.CheckOK, "nothing to do")
	if len(d.last) != 1 {
		t.Errorf("%d are remembered", len(d.last))
	}
}

// Only what a device said of itself counts as a copy of a file.
func TestWhoHoldsARecord(t *testing.T) {
	j := shoal.JournalID{Device: shoal.DeviceID{1}, Nonce: 1}
	rec := shoal.Dot{Journal: j, Seq: 5}
	applied := map[shoal.JournalID]shoal.Seq{j: 5}
	for _, c := range []struct {
		name string
		st   index.Status
		want bool
	}{
		{"applied", index.Status{Complete: true, Applied: applied}, true},
		{"not so far", index.Status{Complete: true, Applied: map[shoal.JournalID]shoal.Seq{j: 4}}, false},
		{"too much is open", index.Status{Applied: applied}, false},
		{"the path is not", index.Status{Complete: true, Applied: applied, Exceptions: []index.Exception{{Path: "d/x"}}}, false},
		{"its folder is not", index.Status{Complete: true, Applied: applied, Exceptions: []index.Exception{{Path: "d"}}}, false},
		{"another path is not", index.Status{Complete: true, Applied: applied, Exceptions: []index.Exception{{Path: "d/y"}}}, true},
	} {
		if got := holds(c.st, rec, "d/x"); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
