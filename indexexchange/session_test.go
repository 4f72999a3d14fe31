package indexexchange

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

func one(p, content string) map[shoal.Path]string {
	return map[shoal.Path]string{shoal.Path(p): content}
}

func TestTwoDevicesBecomeEqual(t *testing.T) {
	w := newWorld(t, 2)
	w.nodes[0].write(one("a", "from 0"))
	w.nodes[1].write(one("b", "from 1"))
	w.connect(0, 1)
	w.settle()
	w.mustBeEqual(w.nodes...)
	if n := len(w.nodes[0].frontier()); n != 2 {
		t.Errorf("%d journals", n)
	}
}

func TestNewCommitGoesOutInOneMessageWithItsSmallBlock(t *testing.T) {
	w := newWorld(t, 2)
	wi := w.connect(0, 1)
	w.nodes[0].write(one("first", "1"))
	w.settle()
	clear(wi.counts)
	w.nodes[0].write(one("a", "tiny"))
	frames, err := wi.ss[0].Next(context.Background())
	w.must(err)
	if len(frames) != 1 {
		t.Fatalf("%d messages", len(frames))
	}
	m, err := decode(frames[0])
	w.must(err)
	b, ok := m.(batchMessage)
	if !ok || len(b.batch.Records) != 1 || len(b.batch.Head) == 0 || len(b.small) != 1 || string(b.small[0].sealed) != "tiny" {
		t.Fatalf("the first message is %+v", m)
	}
	w.must(wi.ss[1].Receive(context.Background(), frames[0]))
	if len(w.nodes[1].changed) == 0 || w.nodes[1].changed[len(w.nodes[1].changed)-1] != "a" || string(w.nodes[1].small[b.small[0].id]) != "tiny" {
		t.Errorf("device 1 was told of %q", w.nodes[1].changed)
	}
	w.mustBeEqual(w.nodes...)
}

func TestChainForwardsTheJournalsOfOthers(t *testing.T) {
	w := newWorld(t, 4)
	for i := range 3 {
		w.connect(i, i+1)
	}
	w.nodes[0].write(one("from 0", "x"))
	w.nodes[3].write(one("from 3", "y"))
	w.settle()
	w.mustBeEqual(w.nodes...)
	w.nodes[3].write(one("later", "z"))
	w.settle()
	w.mustBeEqual(w.nodes...)
}

func TestDevicesThatNeverMeetExchangeThroughAThird(t *testing.T) {
	w := newWorld(t, 3)
	w.nodes[0].write(one("a", "x"))
	wi := w.connect(0, 1)
	w.settle()
	w.cut(wi)
	w.connect(1, 2)
	w.settle()
	w.mustBeEqual(w.nodes...)
}

func TestRecordsTravelOnceInAFullMesh(t *testing.T) {
	w := newWorld(t, 5)
	for a := range 5 {
		for b := range a {
			w.connect(a, b)
		}
	}
	w.settle()
	w.nodes[0].write(one("first", "x"))
	w.settle()
	batches := 0
	for _, wi := range w.wires {
		batches -= wi.counts["indexexchange.batchMessage"]
	}
	w.nodes[0].write(one("a", "y"))
	w.settle()
	for _, wi := range w.wires {
		batches += wi.counts["indexexchange.batchMessage"]
	}
	if batches != 4 {
		t.Errorf("%d batches for 4 receivers", batches)
	}
	w.mustBeEqual(w.nodes...)
}

func TestFarBehindComesInBuckets(t *testing.T) {
	w := newWorld(t, 2)
	w.nodes[0].many("dir", 2500)
	wi := w.connect(0, 1)
	w.settle()
	w.mustBeEqual(w.nodes...)
	if n := wi.counts["indexexchange.bucketMessage"]; n < 3 {
		t.Errorf("%d buckets", n)
	}
}

func TestBucketsAreSpreadOverAllWhoHaveThem(t *testing.T) {
	w := newWorld(t, 4)
	w.nodes[0].many("dir", 5500)
	feed := []*wire{w.connect(0, 1), w.connect(0, 2)}
	w.settle()
	for _, wi := range feed {
		w.cut(wi)
	}
	wires := []*wire{w.connect(3, 0), w.connect(3, 1), w.connect(3, 2)}
	w.settle()
	w.mustBeEqual(w.nodes...)
	total := 0
	for i, wi := range wires {
		n := wi.counts["indexexchange.bucketMessage"]
		total += n
		if n < 1 {
			t.Errorf("source %d served %d buckets", i, n)
		}
	}
	if total != 6 {
		t.Errorf("%d buckets in all", total)
	}
}

func TestJournalThatGoesOnDuringATransferCostsOnlyItsLastBucket(t *testing.T) {
	w := newWorld(t, 2)
	src := w.nodes[0]
	src.many("dir", 4000)
	wi := w.connect(0, 1)
	for wi.counts["indexexchange.bucketMessage"] < 2 {
		for i := range 2 {
			wi.send(i)
			wi.deliver(i)
		}
	}
	src.write(one("late", "x"))
	w.settle()
	w.pass(time.Minute)
	w.mustBeEqual(w.nodes...)
	if n := wi.counts["indexexchange.bucketMessage"]; n > 6 {
		t.Errorf("%d buckets for 4", n)
	}
}

func TestBrokenTransferGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, 2)
	w.nodes[0].many("dir", 4000)
	wi := w.connect(0, 1)
	buckets := func() int { return wi.counts["indexexchange.bucketMessage"] }
	for buckets() < 2 {
		for i := range 2 {
			wi.send(i)
			wi.deliver(i)
		}
	}
	wi.restart()
	w.settle()
	w.mustBeEqual(w.nodes...)
	if n := buckets(); n > 4+2 {
		t.Errorf("%d buckets for 4", n)
	}
}

func TestResignedHeadIsPassedOn(t *testing.T) {
	w := newWorld(t, 3)
	w.connect(0, 1)
	w.connect(1, 2)
	w.nodes[0].write(one("a", "x"))
	w.settle()
	w.pass(24 * time.Hour)
	w.must(w.nodes[0].folder.Update(context.Background(), func(tx *index.Tx) error { return tx.Resign() }))
	w.must(w.nodes[0].core.Refresh(w.people.folder))
	w.settle()
	w.mustBeEqual(w.nodes...)
	for _, n := range w.nodes {
		for _, p := range n.frontier() {
			if p.Time != w.now.UnixNano() {
				t.Errorf("device %d has a head of %v", n.number, time.Unix(0, p.Time))
			}
		}
	}
}

func TestPeerShowsTheHeadOfTheOwnJournal(t *testing.T) {
	w := newWorld(t, 3)
	a := w.nodes[0]
	a.write(one("a", "x"))
	wi := w.connect(0, 1)
	w.settle()
	w.cut(wi)
	a.open(a.db.Crash()) // a new run: the journal is not open
	w.connect(0, 1)
	w.connect(0, 2)
	w.settle()
	if same, told := a.proofs[w.nodes[1].dev()]; !told || !same {
		t.Errorf("device 1: told %v, same %v", told, same)
	}
	if _, told := a.proofs[w.nodes[2].dev()]; !told {
		t.Errorf("device 2 shows nothing")
	}
	w.must(a.folder.Update(context.Background(), func(tx *index.Tx) error { return tx.ContinueJournal() }))
	a.write(one("b", "y"))
	w.settle()
	w.mustBeEqual(w.nodes...)
	if n := len(a.frontier()); n != 1 {
		t.Errorf("%d journals", n)
	}
}

func TestPeerThatKnowsMoreOfTheOwnJournalIsNoProof(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	a.open(index.OpenMemory(index.Options{Clock: w.clock, Rand: w.chance, LoseUnsynced: true}))
	a.write(one("a", "x"))
	w.must(a.db.Sync())
	wi := w.connect(0, 1)
	w.settle()
	a.write(one("b", "y"))
	w.settle()
	w.cut(wi)
	a.open(a.db.Crash()) // the image: as it was at Sync
	w.connect(0, 1)
	wi = w.wires[0]
	for range 100 {
		if _, told := a.proofs[w.nodes[1].dev()]; told {
			break
		}
		for i := range 2 {
			wi.send(i)
			wi.deliver(i)
		}
	}
	if same, told := a.proofs[w.nodes[1].dev()]; !told || same {
		t.Errorf("a restored image: told %v, proved to be current %v", told, same)
	}
	w.settle()
	a.write(one("c", "z"))
	w.settle()
	w.mustBeEqual(w.nodes...)
	if n := len(a.frontier()); n != 2 {
		t.Errorf("%d journals", n)
	}
}

func TestNothingLeavesBeforeTheJournalIsMarkedAsShared(t *testing.T) {
	w := newWorld(t, 2)
	a := w.nodes[0]
	shared := func() (yes bool) {
		w.must(a.folder.View(func(tx *index.Tx) error {
			yes = tx.JournalShared()
			return nil
		}))
		return yes
	}
	a.write(one("a", "x"))
	wi := w.connect(0, 1)
	for range 100 {
		wi.send(1)
		wi.deliver(1)
		wi.send(0)
		for _, raw := range wi.queues[0] {
			if m, _ := decode(raw); fmt.Sprintf("%T", m) == "indexexchange.batchMessage" && !shared() {
				t.Fatal("a record is on its way and the journal is not marked")
			}
		}
		wi.deliver(0)
	}
	w.mustBeEqual(w.nodes...)
	if !shared() {
		t.Error("not marked")
	}
}

func TestDeviceThatWasAdmittedMeanwhileIsLearntOfBeforeItsRecords(t *testing.T) {
	w := newWorld(t, 0)
	for i := range 5 {
		statements := w.people.raw
		if i > 0 && i < 4 {
			statements = w.people.early
		}
		w.nodes = append(w.nodes, w.node(i, statements))
	}
	w.nodes[4].write(one("a", "from the new one"))
	w.connect(1, 2)
	w.connect(2, 3)
	w.connect(4, 1)
	w.settle()
	w.connect(0, 3)
	w.settle()
	w.pass(time.Minute)
	w.mustBeEqual(w.nodes...)
	if len(w.nodes[2].frontier()) != 1 {
		t.Error("the record did not arrive")
	}
}

func TestStatusesReachEveryDeviceAtMostOnceASecond(t *testing.T) {
	w := newWorld(t, 3)
	wi := w.connect(0, 1)
	w.connect(1, 2)
	w.settle()
	w.pass(10 * time.Second)
	clear(wi.counts)
	w.nodes[0].write(one("a", "x"))
	w.settle()
	if n := wi.counts["indexexchange.statusesMessage"]; n != 1 {
		t.Errorf("%d statuses at once after quiet", n)
	}
	for i := range 50 {
		w.nodes[0].write(one("a", fmt.Sprint(i)))
		w.pass(20 * time.Millisecond)
	}
	if n := wi.counts["indexexchange.statusesMessage"]; n > 5 {
		t.Errorf("%d statuses within a second", n)
	}
	w.pass(5 * time.Second)
	for _, n := range w.nodes {
		w.must(n.folder.View(func(tx *index.Tx) error {
			for _, other := range w.nodes {
				st, known, err := tx.Status(other.dev())
				w.must(err)
				if !known || st.Received[mustOwn(w.nodes[0])] != 51 {
					t.Errorf("device %d knows of device %d: %v, received %v", n.number, other.number, known, st.Received)
				}
			}
			return nil
		}))
	}
	clear(wi.counts)
	w.pass(time.Hour)
	if len(wi.counts) != 0 {
		t.Errorf("something is said when nothing happens: %v", wi.counts)
	}
}

func mustOwn(n *node) (j shoal.JournalID) {
	n.world.must(n.folder.View(func(tx *index.Tx) error {
		j, _ = tx.Own()
		return nil
	}))
	return j
}

// TestDevicesBecomeEqualInEveryTopology lets up to five devices write, in a random connected graph whose wires break, lose
