package faulty

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// pushes sends two journals with the same lie: one may be an accident.
func pushes(lie func(p *Peer) []byte) func(context.Context, *Peer) error {
	return sends(func(p *Peer) [][]byte { return [][]byte{lie(p), lie(p)} })
}

// claims pushes a journal under a head that says something else.
func claims(change func(*claim)) func(context.Context, *Peer) error {
	return pushes(func(p *Peer) []byte {
		j := p.filled(3)
		c := j.claim()
		change(&c)
		return batch(p.folder, j.id, 0, c.seq, j.records, p.sign(c))
	})
}

// heads are batches that do not add up to an honest head.
func heads() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "a head with a wrong signature", Reason: "forged", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			head := j.head()
			head[len(head)-1] ^= 1
			return batch(p.folder, j.id, 0, 3, j.records, head)
		})},
		{Name: "a head that is garbage", Reason: "malformed", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			return batch(p.folder, j.id, 0, 3, j.records, random(100))
		})},
		{Short: true, Name: "a head of the victim's journal, signed by another", Reason: "forged", Do: claimsAs(func(p *Peer) shoal.DeviceID { return p.Victim })},
		{Name: "a head of a device that does not exist", Reason: "forged", Do: claimsAs(func(*Peer) shoal.DeviceID { return shoal.DeviceID(random32()) })},
		{Name: "a head at 2^63", Reason: "malformed", Do: claims(func(c *claim) { c.seq = 1 << 63 })},
		{Name: "a head with more records than there are", Reason: "does not match its head", Do: claims(func(c *claim) { c.seq, c.count = 100, 100 })},
		{Name: "a head of another folder", Reason: "does not match its head", Do: claims(func(c *claim) { c.folder = shoal.FolderID(random(16)) })},
		{Name: "a head that names 1,500 others", Reason: "malformed", Do: claims(func(c *claim) { c.others = 1500 })},
		{Name: "a head signed in the year 2099, then one of today", Do: unnoticed(func(p *Peer) [][]byte {
			j := p.filled(3)
			c := j.claim()
			c.time = inFuture
			return [][]byte{batch(p.folder, j.id, 0, 3, j.records, p.sign(c)), j.batch()}
		})},
		{Short: true, Name: "a journal is rolled back", Do: unnoticed(func(p *Peer) [][]byte {
			j := p.filled(5)
			whole := j.batch()
			j.records = j.records[:2]
			return [][]byte{whole, j.batch(), frontier(p.folder, j.position())}
		})},
		{Short: true, Name: "two histories of one journal", Reason: "signed two histories", Do: sends(func(p *Peer) [][]byte {
			j, other := p.filled(3), p.filled(2)
			other.id = j.id
			other.add(other.folder("faulty-other"))
			return [][]byte{j.batch(), other.batch()}
		})},
	}
}

// batches are records that are not what an honest head says.
func batches() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "a record is left out", Reason: "does not match its head", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			return batch(p.folder, j.id, 0, 3, j.records[1:], j.head())
		})},
		{Name: "records in another order", Reason: "malformed", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			records := slices.Clone(j.records)
			slices.Reverse(records)
			return batch(p.folder, j.id, 0, 3, records, j.head())
		})},
		{Name: "a record is altered", Reason: "does not match its head", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			head := j.head()
			j.records[1] = bytes.Clone(j.records[1])
			j.records[1][len(j.records[1])-1] ^= 1
			return batch(p.folder, j.id, 0, 3, j.records, head)
		})},
		{Name: "records of another journal", Reason: "did not take in", Do: pushes(func(p *Peer) []byte {
			j, other := p.filled(3), p.filled(3)
			j.records = other.records
			return j.batch()
		})},
		{Name: "a batch that ends before it begins", Reason: "batch from 9 to 3", Do: sends(func(p *Peer) [][]byte {
			j := p.filled(3)
			return one(batch(p.folder, j.id, 9, 3, j.records, j.head()))
		})},
		{Name: "a batch that leaves a gap", Reason: "does not join the frontier", Do: pushes(func(p *Peer) []byte {
			j := p.filled(3)
			return batch(p.folder, j.id, 2, 3, j.records[2:], j.head())
		})},
		{Short: true, Name: "a batch that ends inside a commit", Reason: "did not take in", Do: pushes(func(p *Peer) []byte {
			j := p.newJournal()
			j.addUnder(j.clear().uint(8, 1), j.folder("faulty"))
			return j.batch()
		})},
		{Name: "records for a folder that is not kept", Do: unnoticed(func(p *Peer) [][]byte {
			j := p.filled(3)
			return one(batch(shoal.FolderID(random(16)), j.id, 0, 3, j.records, j.head()))
		})},
		{Name: "a small block beside a record that is not what its name says", Reason: "a block beside a record did not open", Do: wrongSmall},
	}
}

// claimsAs pushes a journal that belongs to somebody else.
func claimsAs(who func(*Peer) shoal.DeviceID) func(context.Context, *Peer) error {
	return pushes(func(p *Peer) []byte {
		j := p.filled(0)
		j.id = shoal.JournalID{Device: who(p), Nonce: 1}
		j.add(j.folder("faulty"))
		return j.batch()
	})
}

// buckets are transfers that never come to their end.
func buckets() []Misbehaviour {
	return []Misbehaviour{
		{Name: "a list of digests that is not its head's", Reason: "does not match its head", Do: answersAsks(func(j *journal) []byte {
			return body(bodyDigests, inJournal(j.p.folder, j.id).bytes(3, j.head()).bytes(4, digest(0, random32())))
		})},
		{Name: "digests with descending numbers", Reason: "bucket 1 after 2", Do: answersAsks(func(j *journal) []byte {
			return body(bodyDigests, inJournal(j.p.folder, j.id).bytes(3, j.head()).bytes(4, digest(2, random32())).bytes(4, digest(1, random32())))
		})},
		{Short: true, Name: "a bucket that is not what its digest says", Reason: "does not match its head", Do: servesBuckets(func(l *line, j *journal) error {
			other := j.p.filled(3)
			return l.send(body(bodyBucket, inJournal(j.p.folder, j.id).list(4, other.records)))
		})},
		{Short: true, Name: "a bucket without end", Reason: "bucket of", Do: servesBuckets(func(l *line, j *journal) error {
			piece := body(bodyBucket, inJournal(j.p.folder, j.id).bytes(4, random(1<<20)).uint(5, 1))
			for l.send(piece) == nil {
			}
			return nil // the victim has had enough
		})},
		{Name: "buckets that nobody asked for", Do: unnoticed(func(p *Peer) [][]byte {
			j := p.filled(3)
			return slices.Repeat(one(body(bodyBucket, inJournal(p.folder, j.id).list(4, j.records))), 1000)
		})},
		{Name: "a bucket while another is not complete", Reason: "is not complete", Do: sends(func(p *Peer) [][]byte {
			j := p.filled(3)
			return [][]byte{
				body(bodyBucket, inJournal(p.folder, j.id).uint(3, 1).list(4, j.records).uint(5, 1)),
				body(bodyBucket, inJournal(p.folder, j.id).uint(3, 2).list(4, j.records)),
			}
		})},
		{Name: "digests of a newer head in answer to every bucket", Do: goesOnForever},
		{Name: "100,000 buckets are promised and none is given", Do: promisesBuckets},
	}
}

// digestsOf answers an ask with digests.
func digestsOf(j *journal) []byte {
	list, _ := j.digests()
	return body(bodyDigests, inJournal(j.p.folder, j.id).bytes(3, j.head()).list(4, list))
}

// servesBuckets tells of a journal, answers the ask with digests, and the ask for its bucket with serve; twice, since one lie may be an accident.
func servesBuckets(serve func(*line, *journal) error) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		for i := range 2 {
			j := p.filled(3)
			err := l.answerAsk(j, digestsOf(j), i > 0)
			if err == nil {
				_, err = l.await(bodyAskBuckets)
			}
			if err == nil {
				err = serve(l, j)
			}
			if err != nil && i == 0 {
				return err
			} else if err != nil {
				return nil // the first lie was enough
			}
		}
		return nil
	}
}

func goesOnForever(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx)
	if err != nil {
		return err
	}
	j := p.filled(1)
	if err := l.send(frontier(p.folder, j.position())); err != nil {
		return err
	}
	if _, err := l.await(bodyAsk); err != nil {
		return err
	}
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		j.add(j.folder("faulty"))
		if err := l.send(digestsOf(j)); err != nil {
			return err
		}
		if _, err := l.await(bodyAskBuckets); err != nil {
			return err
		}
	}
	return nil
}

func promisesBuckets(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx)
	if err != nil {
		return err
	}
	j := p.filled(0)
	c := claim{journal: j.id, folder: p.folder, seq: 100_000 * 1024, count: 100_000, time: time.Now().UnixNano()}
	var list [][]byte
	h := []byte{}
	for n := range uint64(100_000) {
		sum := random32()
		list = append(list, digest(n, sum))
		h = append(append(h, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n)), sum[:]...)
	}
	c.buckets = labelled("shoal/bucket-list/v1\x00", h)
	if err := l.send(frontier(p.folder, position(j.id, c.seq, p.hash(c), c.time))); err != nil {
		return err
	}
	if _, err := l.await(bodyAsk); err != nil {
		return err
	}
	if err := l.send(body(bodyDigests, inJournal(p.folder, j.id).bytes(3, p.sign(c)).list(4, list))); err != nil {
		return err
	}
	_, err = l.await(bodyAskBuckets)
	return err
}

// wrongSmall tells of a small file, with other bytes beside it.
func wrongSmall(ctx context.Context, p *Peer) error {
	l, err := p.talk(ctx)
	if err != nil {
		return err
	}
	id, _, err := p.blockOf(100)
	if err != nil {
		return err
	}
	j := p.newJournal()
	j.add(j.file("faulty-small", recipe(100, id)), id)
	epoch := p.epoch.ID
	small := message(nil).bytes(1, id[:]).bytes(2, epoch[:]).bytes(3, random(300))
	return l.send(body(bodyBatch, inJournal(p.folder, j.id).uint(4, 1).list(5, j.records).bytes(6, j.head()).bytes(7, small)))
}
