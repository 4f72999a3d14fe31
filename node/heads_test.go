package node

import (
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/index/indextest"
)

// A device that runs signs its head daily, though it changes nothing: the same records, a later time.
func TestAHeadIsSignedAgainWhenItIsADayOld(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	now := start
	dev := indextest.New(t, func() time.Time { return now })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	freshen := func(after time.Duration) bool {
		t.Helper()
		now = start.Add(after)
		signed, err := freshenHead(t.Context(), dev.Folder, dev.Self, now)
		must(err)
		return signed
	}
	head := func() (pos index.JournalPos, last time.Time) {
		t.Helper()
		must(dev.Folder.View(func(tx *index.Tx) error {
			for _, p := range tx.Frontier() {
				pos = p
			}
			heads := map[shoal.DeviceID]time.Time{}
			lastHeads(tx, heads)
			last = heads[dev.Self]
			return nil
		}))
		return pos, last
	}
	if freshen(48 * time.Hour) {
		t.Error("a device that wrote nothing signed something")
	}
	now = start
	must(dev.Folder.Update(t.Context(), func(tx *index.Tx) error {
		if err := tx.OpenJournal(); err != nil {
			return err
		}
		_, err := tx.Append([]index.Entry{{Path: "a", Kind: shoal.KindFolder, Mode: 0o755}})
		return err
	}))
	before, at := head()
	if !at.Equal(start) {
		t.Fatalf("the head was signed at %s", at)
	}
	if freshen(headAge - time.Second) {
		t.Error("a head was signed again before it was a day old")
	}
	if !freshen(headAge) {
		t.Fatal("a head that is a day old was not signed again")
	}
	after, at := head()
	if after.Seq != before.Seq || after.HeadHash != before.HeadHash || !at.Equal(start.Add(headAge)) {
		t.Errorf("signed again it says %d at %s, and said %d", after.Seq, at, before.Seq)
	}
	if freshen(headAge + time.Hour) {
		t.Error("a head was signed again an hour later")
	}
	if freshen(-48 * time.Hour) {
		t.Error("a head was signed again when the clock went back")
	}
}

func TestQuietTooLong(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name string
		last time.Time
		want bool
	}{
		{"it has written nothing", time.Time{}, false},
		{"just now", now, false},
		{"nearly a month ago", now.Add(-longQuiet + time.Second), false},
		{"a month ago", now.Add(-longQuiet), true},
	} {
		if got := quietTooLong(c.last, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
