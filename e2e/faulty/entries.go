package faulty

import (
	"context"
	"fmt"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// setAside is what the log says of a record that is kept and not used.
const setAside = "a record was set aside"

// records pushes a journal with one record that make adds.
func records(make func(j *journal)) func(context.Context, *Peer) error {
	return unnoticed(func(p *Peer) [][]byte {
		j := p.newJournal()
		make(j)
		return one(j.batch())
	})
}

// paths is a folder at a path.
func paths(name, path string) Misbehaviour {
	return Misbehaviour{Name: name, Reason: setAside, Do: records(func(j *journal) { j.add(j.folder(path)) })}
}

// wrong is a record with an entry that breaks a rule.
func wrong(name string, make func(j *journal) message) Misbehaviour {
	return Misbehaviour{Name: name, Reason: setAside, Do: records(func(j *journal) { j.add(make(j)) })}
}

func anyBlock() block.ID { return block.ID(random32()) }

// entries are records that are signed, sealed and counted as they should be, and say what they may not.
func entries() []Misbehaviour {
	return []Misbehaviour{
		quick(paths("a path that leaves the folder", "../faulty")),
		paths("a path that leaves the folder further down", "a/../../faulty"),
		quick(paths("an absolute path", "/tmp/faulty")),
		quick(paths("a path in the folder that is Shoal's own", ".shoal/marker")),
		paths("a name with a NUL", "a\x00b"),
		paths("a name of 300 bytes", strings.Repeat("n", 300)),
		paths("a path of 100,000 bytes", strings.Repeat("n/", 50_000)+"n"),
		paths("an empty path", ""),
		paths("a path with an empty name", "a//b"),
		wrong("a kind of entry that does not exist", func(*journal) message { return timed(entry("faulty-kind", 77)) }),
		wrong("a deletion with content", func(j *journal) message {
			return timed(entry("faulty-gone", kindTombstone).bytes(8, recipe(5, anyBlock())))
		}),
		wrong("a symlink with a target of 5,000 bytes", func(*journal) message {
			return timed(entry("faulty-link", kindSymlink).bytes(5, random(5000)))
		}),
	}
}

// contents are records of files with recipes that are not right, and of entries that are not.
func contents() []Misbehaviour {
	return []Misbehaviour{
		wrong("a recipe that is cut off", func(j *journal) message { return j.file("faulty-cut", recipe(5, anyBlock())[:20]) }),
		wrong("blocks of 4 GiB", func(j *journal) message { return j.file("faulty-blocks", recipe(1<<32-1, anyBlock())) }),
		wrong("a size beside a short recipe", func(*journal) message {
			return timed(entry("faulty-size", kindFile).uint(3, 0o644).fixed(4, 1).uint(6, 7).bytes(8, recipe(5, anyBlock())))
		}),
		wrong("2^16 parts and 2^62 bytes", func(*journal) message {
			ids := make([]block.ID, 1<<16)
			for i := range ids {
				ids[i] = anyBlock()
			}
			content := random(32)
			return timed(entry("faulty-parts", kindFile).uint(3, 0o644).fixed(4, 1).uint(6, 1<<62).bytes(7, content).bytes(9, recipe(1<<20, ids...)))
		}),
		wrong("a million versions", func(*journal) message {
			runs := make([]byte, 2_000_000)
			for i := range runs {
				runs[i] = 1
			}
			return timed(entry("faulty-version", kindFolder).uint(3, 0o755).bytes(13, runs))
		}),
		wrong("blocks that the clear part does not name", func(j *journal) message { return j.file("faulty-refs", recipe(5, anyBlock())) }),
		wrong("a mode beyond the permission bits", func(*journal) message { return timed(entry("faulty-mode", kindFolder).uint(3, 0o170000)) }),
		wrong("a negative time", func(*journal) message { return entry("faulty-time", kindFolder).uint(3, 0o755).fixed(19, 1<<63) }),
		wrong("an entry that is garbage", func(*journal) message { return random(200) }),
	}
}

// seals are records that are not sealed as they should be, or say more than they may.
func seals() []Misbehaviour {
	return []Misbehaviour{
		{Name: "a record that is sealed with another key", Reason: setAside, Do: records(func(j *journal) { j.addRaw(j.clear(), random(300)) })},
		{Short: true, Name: "a record under an epoch that does not exist", Reason: setAside, Do: records(func(j *journal) {
			e := j.p.epoch
			j.p.epoch.ID = shoal.EpochID(random32())
			j.add(j.folder("faulty-epoch"))
			j.p.epoch = e
		})},
		{Name: "a record with a clear part in another encoding", Reason: setAside, Do: records(func(j *journal) {
			j.addUnder(j.clear().uint(77, 1), j.folder("faulty-clear"))
		})},
		{Name: "a record that is another's in its clear part", Reason: "did not take in", Do: pushes(func(p *Peer) []byte {
			j, other := p.newJournal(), p.newJournal()
			j.addUnder(other.clear(), j.folder("faulty"))
			return j.batch()
		})},
		{Name: "a record in a slot that lies ahead", Reason: "malformed", Do: pushes(func(p *Peer) []byte {
			j := p.newJournal()
			j.addUnder(j.clear().uint(7, 99), j.folder("faulty"))
			return j.batch()
		})},
		{Name: "a record that replaces the victim's records to come", Do: records(func(j *journal) {
			victim := shoal.JournalID{Device: j.p.Victim, Nonce: 1}
			j.addUnder(j.clear().bytes(13, append(victim.Bytes(), 0, 0, 0, 0, 0, 0, 0, 9)), j.folder("faulty-replaces"))
		})},
		{Short: true, Name: "a folder that is reached through a symlink out of the folder", Do: records(func(j *journal) {
			j.add(timed(entry("faulty-out", kindSymlink).fixed(4, 1).bytes(5, []byte(".."))))
			j.add(j.folder("faulty-out/faulty"))
		})},
		{Name: "a file of the year 1900 whose block nobody has", Do: records(func(j *journal) {
			b := anyBlock()
			past := int64(-2_208_988_800) * 1_000_000_000
			j.add(timed(entry("faulty-old", kindFile).uint(3, 0o644).fixed(4, uint64(past)).bytes(8, recipe(5, b))), b)
		})},
		{Name: "40 files whose blocks nobody has, one after the other", Do: func(ctx context.Context, p *Peer) error {
			l, err := p.talk(ctx)
			if err != nil {
				return err
			}
			for range 40 {
				j, b := p.newJournal(), anyBlock()
				j.add(j.file(fmt.Sprintf("faulty-absent-%x", b[:4]), recipe(100_000, b)), b)
				if err := l.send(j.batch()); err != nil {
					return err
				}
				if err := l.barrier(p); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "a deletion of everything that comes, in the year 2099", Do: records(func(j *journal) {
			j.add(entry("honest", kindTombstone).fixed(19, inFuture))
		})},
	}
}
