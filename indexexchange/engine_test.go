package indexexchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// rig is an engine with a folder, and peers that take part in it.
type rig struct {
	e      *engine
	now    time.Time
	folder shoal.FolderID
}

func dev(n byte) shoal.DeviceID { return shoal.DeviceID{n} }

func journal(n byte) shoal.JournalID { return shoal.JournalID{Device: dev(n), Nonce: 1} }

func at(seq shoal.Seq) position {
	return position{seq: seq, head: [32]byte{byte(seq)}, time: int64(seq)}
}

// newRig makes device 0 with peers 1 to n, which all have told an empty frontier.
func newRig(peers byte) *rig {
	r := &rig{e: newEngine(dev(0)), now: time.Unix(1000, 0), folder: shoal.FolderID{1}}
	r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true, positions: map[shoal.JournalID]position{}})
	for n := byte(1); n <= peers; n++ {
		r.step(peerUp{peer: dev(n)})
		r.step(peerReady{peer: dev(n)})
		r.step(frontierCame{peer: dev(n), m: frontierMessage{folder: r.folder, scope: scopeAll}})
	}
	return r
}

func (r *rig) step(ev event) []action { return r.e.step(r.now, ev) }

func (r *rig) key(n byte) journalKey { return journalKey{r.folder, journal(n)} }

func (r *rig) tells(n byte, positions map[shoal.JournalID]position) []action {
	return r.step(frontierCame{peer: dev(n), m: frontierMessage{folder: r.folder, positions: positions}})
}

// only returns the actions of one type.
func only[A action](acts []action) (out []A) {
	for _, a := range acts {
		if x, ok := a.(A); ok {
			out = append(out, x)
		}
	}
	return out
}

func TestAuthorPushesAndOthersTell(t *testing.T) {
	r := newRig(3)
	acts := r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true, positions: map[shoal.JournalID]position{journal(0): at(1)}})
	if n, m := len(only[push](acts)), len(only[tell](acts)); n != 3 || m != 0 {
		t.Errorf("own commit: %d pushes, %d tells", n, m)
	}
	r.tells(1, map[shoal.JournalID]position{journal(9): at(4)})
	acts = r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true,
		positions: map[shoal.JournalID]position{journal(0): at(1), journal(9): at(4)}})
	if got := fmt.Sprint(only[tell](acts)); got != fmt.Sprint([]tell{{dev(2), r.key(9)}, {dev(3), r.key(9)}}) {
		t.Errorf("another's journal is told: %v", got)
	}
	if n := len(only[push](acts)); n != 0 {
		t.Errorf("another's journal is pushed %d times", n)
	}
}

func TestAuthorDoesNotPushToWhoIsBehind(t *testing.T) {
	r := newRig(1)
	r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true, positions: map[shoal.JournalID]position{journal(0): at(10)}})
	acts := r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true, positions: map[shoal.JournalID]position{journal(0): at(11)}})
	if len(only[push](acts)) != 0 || len(only[tell](acts)) != 1 {
		t.Errorf("%v", acts)
	}
}

func TestOneSourceIsAskedAtATimeTheAuthorFirst(t *testing.T) {
	r := newRig(3)
	acts := r.tells(1, map[shoal.JournalID]position{journal(3): at(4)})
	if asks := only[sendAsk](acts); len(asks) != 1 || asks[0].peer != dev(1) {
		t.Fatalf("%v", acts)
	}
	for _, n := range []byte{2, 3} {
		if acts := r.tells(n, map[shoal.JournalID]position{journal(3): at(4)}); len(only[sendAsk](acts)) != 0 {
			t.Errorf("asked while an answer is awaited: %v", acts)
		}
	}
	acts = r.step(nothingCame{peer: dev(1), journal: r.key(3)})
	if asks := only[sendAsk](acts); len(asks) != 1 || asks[0].peer != dev(3) {
		t.Errorf("after nothing: %v", acts)
	}
	acts = r.step(peerDown{peer: dev(3)})
	if asks := only[sendAsk](acts); len(asks) != 1 || asks[0].peer != dev(2) {
		t.Errorf("after the author left: %v", acts)
	}
}

func TestNoAskWhileAPushIsTakenIn(t *testing.T) {
	r := newRig(2)
	acts := r.step(batchCame{peer: dev(1), journal: r.key(1), at: at(1)})
	if len(only[accept](acts)) != 1 {
		t.Fatalf("%v", acts)
	}
	if acts := r.tells(2, map[shoal.JournalID]position{journal(1): at(1)}); len(only[sendAsk](acts)) != 0 {
		t.Errorf("%v", acts)
	}
}

func TestPushThatDoesNotFitIsAskedForAtOnce(t *testing.T) {
	r := newRig(1)
	r.step(batchCame{peer: dev(1), journal: r.key(1), at: at(7)})
	acts := r.step(accepted{peer: dev(1), journal: r.key(1), at: at(7), outcome: unfit})
	if asks := only[sendAsk](acts); len(asks) != 1 || asks[0].after != 0 {
		t.Errorf("%v", acts)
	}
	if r.e.faults[dev(1)] != nil {
		t.Error("it counts against the peer")
	}
}

func TestAnswersThatNeverFitMakeNoBusyLoop(t *testing.T) {
	r := newRig(1)
	asks := len(only[sendAsk](r.tells(1, map[shoal.JournalID]position{journal(1): at(7)})))
	for range 100 {
		acts := r.step(batchCame{peer: dev(1), journal: r.key(1), at: at(7)})
		if yes, ok := find[accept](acts); ok {
			acts = r.step(accepted{peer: dev(1), journal: r.key(1), at: at(7), asked: yes.asked, outcome: unfit})
		}
		asks += len(only[sendAsk](acts))
	}
	if asks > 101 {
		t.Errorf("%d asks", asks)
	}
	// Honest pushes go on being looked at; but what was asked for and does not fit waits a moment.
	r = newRig(1)
	r.tells(1, map[shoal.JournalID]position{journal(1): at(7)})
	r.step(batchCame{peer: dev(1), journal: r.key(1), at: at(7)})
	if acts := r.step(accepted{peer: dev(1), journal: r.key(1), at: at(7), asked: true, outcome: unfit}); len(only[sendAsk](acts)) != 0 {
		t.Errorf("asked again at once: %v", acts)
	}
	r.now = r.now.Add(refuseOnce)
	if acts := r.step(tick{}); len(only[sendAsk](acts)) != 1 {
		t.Errorf("not asked again: %v", acts)
	}
}

func TestAsksPerPeerAreBounded(t *testing.T) {
	r := newRig(1)
	positions := make(map[shoal.JournalID]position)
	for n := byte(10); n < 60; n++ {
		positions[journal(n)] = at(5)
	}
	if n := len(only[sendAsk](r.tells(1, positions))); n != maxAsks {
		t.Fatalf("%d asks", n)
	}
	if acts := r.step(nothingCame{peer: dev(1), journal: r.key(10)}); len(only[sendAsk](acts)) != 1 {
		t.Errorf("after one answer: %v", acts)
	}
}

func TestBucketsAreAskedOfAllWhoHaveThemWithinBounds(t *testing.T) {
	r := newRig(4)
	for n := byte(1); n <= 3; n++ {
		r.tells(n, map[shoal.JournalID]position{journal(9): at(100)})
	}
	r.tells(4, map[shoal.JournalID]position{journal(9): at(50)})
	r.step(digestsCame{peer: dev(1), journal: r.key(9), at: at(100)})
	var missing []index.BucketDigest
	for n := range uint64(40) {
		missing = append(missing, index.BucketDigest{N: n})
	}
	asks := only[sendAskBuckets](r.step(staged{peer: dev(1), journal: r.key(9), at: at(100), missing: missing}))
	if len(asks) != 3 {
		t.Fatalf("%v", asks)
	}
	for _, a := range asks {
		if len(a.list) != maxBuckets || a.peer == dev(4) {
			t.Errorf("%d buckets asked of %v", len(a.list), a.peer)
		}
	}
	first := asks[0]
	r.step(bucketCame{peer: first.peer, journal: r.key(9), n: first.list[0].N})
	again := only[sendAskBuckets](r.step(bucketStaged{peer: first.peer, journal: r.key(9), n: first.list[0].N, generation: 1}))
	if len(again) != 1 || len(again[0].list) != 1 || again[0].peer != first.peer {
		t.Errorf("after one bucket: %v", again)
	}
	if acts := r.step(bucketCame{peer: dev(2), journal: r.key(9), n: first.list[0].N}); len(acts) != 0 {
		t.Errorf("a bucket that nobody asked for is taken: %v", acts)
	}
}

func TestStatusesArePassedOnAtMostOnceASecond(t *testing.T) {
	r := newRig(2)
	sent := 0
	for range 30 {
		sent += len(only[sendStatuses](r.step(statusNews{folder: r.folder, dev: dev(1), from: dev(1)})))
		r.now = r.now.Add(100 * time.Millisecond)
	}
	if sent < 3 || sent > 4 {
		t.Errorf("%d in three seconds", sent)
	}
	r.step(tick{}) // what was held back
	r.now = r.now.Add(time.Minute)
	if n := len(only[sendStatuses](r.step(statusNews{folder: r.folder, dev: dev(1), from: dev(1)}))); n != 1 {
		t.Errorf("the first after quiet: %d at once", n)
	}
}

// Who joins decides by what the others say of themselves, so what is said first must not be old.
func TestWhoComesIsToldAFreshStatus(t *testing.T) {
	r := newRig(1)
	all := frontierMessage{folder: r.folder, scope: scopeAll}
	r.now = r.now.Add(time.Minute)
	r.step(peerUp{peer: dev(2)})
	r.step(peerReady{peer: dev(2)})
	if got := only[sendStatuses](r.step(frontierCame{peer: dev(2), m: all})); len(got) != 1 || got[0].devs != nil {
		t.Errorf("nothing has changed: sent %v", got)
	}
	r.step(localChanged{folder: r.folder})
	r.step(localChanged{folder: r.folder})
	r.step(peerUp{peer: dev(2)})
	r.step(peerReady{peer: dev(2)})
	acts := r.step(frontierCame{peer: dev(2), m: all})
	if len(only[sign](acts)) != 1 || len(only[sendStatuses](acts)) != 0 {
		t.Errorf("something has changed: %v", acts)
	}
	got := only[sendStatuses](r.step(statusNews{folder: r.folder, dev: dev(0), from: dev(0)}))
	if len(got) != 2 || got[0].peer != dev(2) || got[0].devs != nil || got[1].peer != dev(1) || got[1].devs == nil {
		t.Errorf("after signing: sent %v", got)
	}
}

func TestNothingIsDueWhenNothingHappens(t *testing.T) {
	r := newRig(3)
	for range 10 {
		r.now = r.now.Add(time.Hour)
		r.step(tick{})
	}
	if !r.e.wake.IsZero() {
		t.Errorf("due at %v", r.e.wake)
	}
}

func TestADeviceIsHeardWhenItHasSaidHowFarItIs(t *testing.T) {
	r := newRig(0)
	heard := func(want bool, when string) {
		t.Helper()
		if got := r.e.heard(dev(1), r.folder); got != want {
			t.Errorf("%s: heard is %v", when, got)
		}
	}
	heard(false, "no session")
	r.step(peerUp{peer: dev(1)})
	heard(false, "a session")
	r.step(frontierCame{peer: dev(1), m: frontierMessage{folder: r.folder, scope: scopeAll}})
	heard(false, "its roster may hold what makes its journals count")
	r.step(peerReady{peer: dev(1)})
	heard(true, "told and ready")
	r.step(peerUp{peer: dev(1)})
	r.step(peerReady{peer: dev(1)})
	heard(false, "a new session")
	r.step(frontierCame{peer: dev(1), m: frontierMessage{folder: r.folder, scope: scopeLeft}})
	heard(true, "it does not keep the folder")
	r.step(localGone{folder: r.folder})
	r.step(localFrontier{folder: r.folder, own: journal(0), positions: map[shoal.JournalID]position{}})
	heard(false, "the folder was added anew")
}

func TestWhatAPeerMayGiveIsLackingUntilItIsHere(t *testing.T) {
	r := newRig(1)
	lacks := func(want bool, when string) {
		t.Helper()
		if got := r.e.lacks(r.folder); got != want {
			t.Errorf("%s: lacks is %v", when, got)
		}
	}
	lacks(false, "nothing was told")
	r.tells(1, map[shoal.JournalID]position{journal(1): at(4)})
	lacks(true, "it is further")
	r.step(nothingCame{peer: dev(1), journal: r.key(1)})
	lacks(false, "it has nothing to give after all")
	r.now = r.now.Add(time.Hour)
	r.step(tick{})
	lacks(true, "it is asked again")
	r.step(localFrontier{folder: r.folder, own: journal(0), ownOpen: true, positions: map[shoal.JournalID]position{journal(1): at(4)}})
	lacks(false, "it is here")
	r.tells(1, map[shoal.JournalID]position{journal(0): at(9)})
	lacks(false, "nobody gives what this device writes")
}

func TestWhoDoesNotKeepAFolderSaysSoWhenAskedToTakePart(t *testing.T) {
	other := shoal.FolderID{2}
	all := frontierMessage{folder: other, scope: scopeAll}
	declines := func(acts []action) bool {
		left := only[tellLeft](acts)
		return len(left) == 1 && left[0] == tellLeft{peer: dev(1), folder: other}
	}
	r := newRig(1)
	if acts := r.step(frontierCame{peer: dev(1), m: all}); !declines(acts) {
		t.Errorf("a frontier after the roster: %v", acts)
	}
	r.step(peerUp{peer: dev(1)})
	if acts := r.step(frontierCame{peer: dev(1), m: all}); len(only[tellLeft](acts)) != 0 {
		t.Errorf("said before the rosters are equal: %v", acts)
	}
	if acts := r.step(peerReady{peer: dev(1)}); !declines(acts) {
		t.Errorf("the roster after a frontier: %v", acts)
	}
	if acts := r.step(frontierCame{peer: dev(1), m: frontierMessage{folder: r.folder, scope: scopeAll}}); len(only[tellLeft](acts)) != 0 {
		t.Errorf("said of a folder that is kept: %v", acts)
	}
}

func TestFoldersThatNobodyKeepsHereAreNotRemembered(t *testing.T) {
	r := newRig(1)
	for n := range 100_000 {
		id := shoal.FolderID{9, byte(n), byte(n >> 8), byte(n >> 16)}
		r.step(frontierCame{peer: dev(1), m: frontierMessage{folder: id, scope: scopeLeft}})
	}
	if p := r.e.peer(dev(1)); len(p.untold) > 0 || len(p.without) > 0 {
		t.Errorf("%d and %d folders are remembered", len(p.untold), len(p.without))
	}
}
