package indexexchange

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// lies are what a source between the author and the receiver can do to what it passes on.
var lies = map[string]func(message) message{
	"altered record": func(m message) message {
		return onRecords(m, func(rs [][]byte) [][]byte {
			rs[0] = bytes.Clone(rs[0])
			rs[0][len(rs[0])-1] ^= 1
			return rs
		})
	},
	"omitted record": func(m message) message {
		return onRecords(m, func(rs [][]byte) [][]byte { return rs[1:] })
	},
	"repeated record": func(m message) message {
		return onRecords(m, func(rs [][]byte) [][]byte { return append(rs[:1:1], rs...) })
	},
	"swapped records": func(m message) message {
		return onRecords(m, func(rs [][]byte) [][]byte {
			rs = slices.Clone(rs)
			slices.Reverse(rs)
			return rs
		})
	},
	"forged head": func(m message) message {
		return onHead(m, func(h []byte) []byte {
			h = bytes.Clone(h)
			h[len(h)-1] ^= 1
			return h
		})
	},
	"head that is rubbish": func(m message) message {
		return onHead(m, func([]byte) []byte { return []byte("rubbish") })
	},
	"list that is not the head's": func(m message) message {
		if d, ok := m.(digestsMessage); ok {
			d.list = slices.Clone(d.list)
			d.list[0].Digest[0] ^= 1
			return d
		}
		return m
	},
	"shortened list": func(m message) message {
		if d, ok := m.(digestsMessage); ok {
			d.list = d.list[1:]
			return d
		}
		return m
	},
}

func onRecords(m message, change func([][]byte) [][]byte) message {
	switch m := m.(type) {
	case batchMessage:
		if len(m.batch.Records) > 1 {
			m.batch.Records = change(m.batch.Records)
		}
		return m
	case bucketMessage:
		if len(m.records) > 1 {
			m.records = change(m.records)
		}
		return m
	}
	return m
}

func onHead(m message, change func([]byte) []byte) message {
	switch m := m.(type) {
	case batchMessage:
		m.batch.Head = change(m.batch.Head)
		return m
	case digestsMessage:
		m.head = change(m.head)
		return m
	}
	return m
}

// tampered makes end i of the wire lie.
func (wi *wire) tampered(i int, lie func(message) message) {
	wi.tamper[i] = func(m message) []message { return []message{lie(m)} }
}

// TestLyingSourceHarmsNothing has device 1 pass on what device 0 wrote, altered. Device 2 must not take it, must get the right
// thing from device 3 when that comes, and must keep what else it has.
func TestLyingSourceHarmsNothing(t *testing.T) {
	for name, lie := range lies {
		for size, count := range map[string]int{"batch": 30, "buckets": 1200} {
			if (testing.Short() || raceEnabled) && count > 1000 {
				continue
			}
			t.Run(name+" in "+size, func(t *testing.T) {
				w := newWorld(t, 4)
				author, victim := w.nodes[0], w.nodes[2]
				victim.write(one("mine", "x"))
				author.many("dir", count)
				w.connect(0, 1)
				w.connect(0, 3)
				w.settle()
				wi := w.connect(1, 2)
				wi.tampered(0, lie)
				w.settle()
				author.many("more", 20)
				author.write(one("dir/00000", "changed"))
				w.settle()
				w.pass(time.Minute)
				w.must(victim.db.Check(context.Background()))
				w.connect(3, 2)
				w.settle()
				w.pass(time.Minute)
				w.mustBeEqual(author, victim, w.nodes[3])
				if victim.forks > 0 {
					t.Errorf("%d forks reported", victim.forks)
				}
			})
		}
	}
}

func TestSourceThatIsWrongTwiceIsLeftOut(t *testing.T) {
	w := newWorld(t, 3)
	w.nodes[0].many("dir", 30)
	up := w.connect(0, 1)
	w.settle()
	wi := w.connect(1, 2)
	wi.tampered(0, lies["altered record"])
	w.settle()
	w.nodes[0].write(map[shoal.Path]string{"a": "1", "b": "2"})
	w.settle()
	w.pass(2 * time.Hour)
	if len(w.nodes[2].leftOut) == 0 {
		t.Fatal("the liar was not left out")
	}
	if n := wi.counts["indexexchange.batchMessage"]; n > 8 {
		t.Errorf("the liar was asked %d times within two hours", n)
	}
	_ = up
	wi.tamper[0] = nil
	wi.restart()
	w.pass(2 * time.Hour)
	w.mustBeEqual(w.nodes...)
}

// TestRolledBackSourceIsNotBelieved has device 1 claim a position that it does not have.
func TestRolledBackSourceIsNotBelieved(t *testing.T) {
	w := newWorld(t, 3)
	w.nodes[0].many("dir", 30)
	up := w.connect(0, 1)
	w.settle()
	w.cut(up)
	w.nodes[0].many("more", 30)
	wi := w.connect(1, 2)
	wi.tampered(0, func(m message) message {
		f, ok := m.(frontierMessage)
		for j, p := range f.positions {
			if ok {
				p.seq, p.head[0] = p.seq+30, p.head[0]^1
				f.positions[j] = p
			}
		}
		return m
	})
	w.pass(10 * time.Minute)
	if n := wi.counts["indexexchange.batchMessage"]; n > 100 {
		t.Errorf("asked %d times in ten minutes", n)
	}
	w.connect(0, 2)
	w.settle()
	w.mustBeEqual(w.nodes[0], w.nodes[2])
}

// TestSourceThatNeverAnswersIsReplaced has device 1 keep back every answer.
func TestSourceThatNeverAnswersIsReplaced(t *testing.T) {
	for _, count := range []int{30, 1200} {
		if testing.Short() && count > 1000 {
			continue
		}
		w := newWorld(t, 4)
		w.nodes[0].many("dir", count)
		ups := []*wire{w.connect(0, 1), w.connect(0, 3)}
		w.settle()
		w.cut(ups[0])
		w.cut(ups[1])
		wi := w.connect(1, 2)
		wi.tamper[0] = func(m message) []message {
			switch m.(type) {
			case batchMessage, bucketMessage, nothingMessage:
				return nil
			}
			return []message{m}
		}
		w.settle()
		w.connect(2, 3)
		w.pass(2 * time.Minute)
		w.mustBeEqual(w.nodes[0], w.nodes[2])
	}
}

// TestPeerThatIsNotAllowedGetsTheRosterAndNothingElse has device 0 shut out device 1, which still has something to tell.
func TestPeerThatIsNotAllowedGetsTheRosterAndNothingElse(t *testing.T) {
	w := newWorld(t, 0)
	for i, statements := range [][][]byte{w.people.raw, w.people.early} {
		n := w.node(i, statements)
		n.write(one("by "+string(rune('0'+i)), "x"))
		w.nodes = append(w.nodes, n)
	}
	w.nodes[0].core.cfg.Allow = func(dev shoal.DeviceID) bool { return dev != w.nodes[1].dev() }
	wi := w.connect(0, 1)
	w.pass(time.Minute)
	if n := w.nodes[1].roster.roster.Count(); n != len(w.people.raw) {
		t.Errorf("it has %d of %d statements", n, len(w.people.raw))
	}
	for i, n := range w.nodes {
		if len(n.frontier()) != 1 {
			t.Errorf("device %d has %d journals", i, len(n.frontier()))
		}
	}
	if n := wi.counts["indexexchange.askMessage"]; n > 0 {
		t.Errorf("%d asks between devices that do not talk", n)
	}
	m, err := wi.ss[1].batch(context.Background(), journalKey{w.people.folder, mustOwn(w.nodes[1])}, 0)
	w.must(err)
	w.must(wi.ss[0].Receive(context.Background(), encode(m)))
	if n := len(w.nodes[0].frontier()); n != 1 {
		t.Errorf("a batch was taken from who may not send one")
	}
}

// TestRubbishNeverHarms sends random bytes and random messages into a session in the middle of its work.
func TestRubbishNeverHarms(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, 2)
		w.nodes[0].many("dir", 10)
		wi := w.connect(0, 1)
		for range rapid.IntRange(0, 12).Draw(rt, "before") {
			wi.send(0)
			wi.send(1)
			wi.deliver(0)
			wi.deliver(1)
		}
		journal := mustOwn(w.nodes[0])
		for range rapid.IntRange(1, 8).Draw(rt, "messages") {
			raw := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(rt, "rubbish")
			if rapid.Bool().Draw(rt, "well formed") {
				raw = encode(drawMessage(rt, w, journal))
			}
			_ = wi.ss[1].Receive(context.Background(), raw) // whatever it says
		}
		wi.restart()
		w.pass(2 * time.Hour)
		w.mustBeEqual(w.nodes...)
	})
}

func drawMessage(rt *rapid.T, w *world, j shoal.JournalID) message {
	k := journalKey{w.people.folder, j}
	blob := func(what string) []byte { return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, what) }
	seq := shoal.Seq(rapid.IntRange(1, 3000).Draw(rt, "seq"))
	switch rapid.IntRange(0, 8).Draw(rt, "kind") {
	case 0:
		return frontierMessage{folder: k.folder, scope: scope(rapid.IntRange(0, 2).Draw(rt, "scope")),
			positions: map[shoal.JournalID]position{j: {seq: seq}}}
	case 1:
		return askMessage{journal: k, after: seq}
	case 2:
		return batchMessage{folder: k.folder, batch: index.Batch{Journal: j, To: seq, Head: blob("head"), Records: [][]byte{blob("record")}}}
	case 3:
		return digestsMessage{journal: k, head: blob("head"), list: []index.BucketDigest{{N: uint64(seq)}}}
	case 4:
		return askBucketsMessage{journal: k, list: []index.BucketDigest{{N: uint64(seq)}}}
	case 5:
		return bucketMessage{journal: k, n: uint64(seq), records: [][]byte{blob("record")}, more: rapid.Bool().Draw(rt, "more")}
	case 6:
		return nothingMessage{journal: k}
	case 7:
		return statusesMessage{folder: k.folder, raw: [][]byte{blob("status")}}
	}
	return statementsMessage{raw: [][]byte{blob("statement")}, last: true}
}
