package faulty

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/mesh"
)

// Kinds of statements (docs/formats/roster.md).
const (
	sayAdmit   = 2
	sayRole    = 3
	sayRevoke  = 4
	sayUnknown = 99
)

// chain makes statements of the faulty device, each after the one before.
type chain struct {
	p     *Peer
	mesh  shoal.MeshID
	heads []mesh.Hash // what the first one names
	last  []byte      // hash of the one before
}

func (p *Peer) chain() *chain { return &chain{p: p, mesh: p.mesh, heads: p.roster.Heads()} }

// say makes a statement.
func (c *chain) say(kind uint64, payload []byte) []byte {
	dev := c.p.Device()
	m := message(nil).bytes(1, c.mesh[:]).uint(2, kind).bytes(3, dev[:])
	if c.last != nil {
		m = m.bytes(4, c.last)
	}
	for _, h := range c.heads {
		m = m.bytes(5, h[:])
	}
	c.heads = nil
	m = m.uint(6, uint64(time.Now().UnixNano())).bytes(7, payload)
	h := blake3.NewDeriveKey("shoal mesh v1 statement hash")
	_, _ = h.Write(m)
	c.last = h.Sum(nil)[:32]
	return append(append([]byte{1}, c.p.id.Sign("statement", m)...), m...)
}

func statementsOf(raw ...[]byte) []byte { return body(bodyStatements, message(nil).list(1, raw)) }

// refused is a statement that no device may take in.
func refused(name string, make func(p *Peer) []byte) Misbehaviour {
	return Misbehaviour{Name: name, Reason: "statements of the roster were refused", Do: sends(func(p *Peer) [][]byte { return one(statementsOf(make(p))) })}
}

// statements are what a roster must not take.
func statements() []Misbehaviour {
	return []Misbehaviour{
		refused("a statement that is garbage", func(*Peer) []byte { return random(300) }),
		refused("a statement of 100,000 bytes", func(*Peer) []byte { return random(100_000) }),
		refused("a statement with a wrong signature", func(p *Peer) []byte {
			raw := p.chain().say(sayUnknown, []byte("x"))
			raw[5] ^= 1
			return raw
		}),
		refused("a statement of another mesh", func(p *Peer) []byte {
			c := p.chain()
			c.mesh = shoal.MeshID(random32())
			return c.say(sayUnknown, []byte("x"))
		}),
		quick(refused("a member puts the victim out of the mesh", func(p *Peer) []byte { return p.chain().say(sayRevoke, message(nil).bytes(1, p.Victim[:])) })),
		refused("a member makes itself an owner", func(p *Peer) []byte {
			dev := p.Device()
			return p.chain().say(sayRole, message(nil).bytes(1, dev[:]).uint(2, 1))
		}),
		refused("a member makes the victim a reader", func(p *Peer) []byte {
			return p.chain().say(sayRole, message(nil).bytes(1, p.Victim[:]).uint(2, 3))
		}),
		refused("a member lets a friend in", func(p *Peer) []byte {
			return p.chain().say(sayAdmit, message(nil).bytes(1, random(32)).bytes(2, p.id.HPKEPublic()).uint(3, 2))
		}),
		{Name: "10,000 statements that wait for others that never come", Do: unnoticed(func(p *Peer) [][]byte {
			var out [][]byte
			for range 20 {
				list := make([][]byte, 500)
				for i := range list {
					c := p.chain()
					c.heads = []mesh.Hash{mesh.Hash(random32())}
					list[i] = c.say(sayUnknown, random(3000))
				}
				out = append(out, statementsOf(list...))
			}
			return out
		})},
		{Name: "100,000 statements of a kind that nobody knows", Reason: "statements of the roster were refused", Do: floods(100_000, 10)},
		{Name: "13 MiB of statements of a kind that nobody knows", Do: floods(4000, 3400)},
		{Name: "roster heads that nobody knows, 2,000 times", Do: unnoticed(func(*Peer) [][]byte {
			unknown := make([][]byte, 1000)
			for i := range unknown {
				unknown[i] = random(32)
			}
			return slices.Repeat(one(body(bodyRoster, message(nil).list(1, unknown))), 2000)
		})},
	}
}

// floods sends statements that are in order, and as many as may be in one message.
func floods(count, size int) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.talk(ctx)
		if err != nil {
			return err
		}
		c := p.chain()
		var list [][]byte
		bytesOf := 0
		for i := range count {
			raw := c.say(sayUnknown, random(size))
			list, bytesOf = append(list, raw), bytesOf+len(raw)+8
			if bytesOf+len(raw)+64 < maxMessage && len(list) < 10_000 && i+1 < count {
				continue
			}
			if err := l.send(statementsOf(list...)); err != nil {
				return err
			}
			list, bytesOf = nil, 0
		}
		return l.barrier(p)
	}
}

// statuses are statements about what a device has that are not true, or not its own.
func statuses() []Misbehaviour {
	status := func(p *Peer, m message) []byte {
		return body(bodyStatuses, message(nil).bytes(1, p.folder[:]).bytes(2, p.signed("status", m)))
	}
	of := func(p *Peer, dev shoal.DeviceID) message {
		return message(nil).uint(1, 1).bytes(2, p.mesh[:]).bytes(3, p.folder[:]).bytes(4, dev[:]).uint(5, 1<<62).uint(6, 1<<62)
	}
	return []Misbehaviour{
		{Short: true, Name: "a status of the victim, signed by another", Reason: "forged", Do: sends(func(p *Peer) [][]byte {
			return slices.Repeat(one(status(p, of(p, p.Victim))), 2)
		})},
		// The victim may not know yet who was admitted, so this is nobody's lie.
		{Name: "a status of a device that does not exist", Do: unnoticed(func(p *Peer) [][]byte {
			return slices.Repeat(one(status(p, of(p, shoal.DeviceID(random32())))), 2)
		})},
		{Name: "a status that is garbage", Reason: "malformed", Do: sends(func(p *Peer) [][]byte {
			m := body(bodyStatuses, message(nil).bytes(1, p.folder[:]).bytes(2, random(100)))
			return [][]byte{m, m}
		})},
		{Short: true, Name: "a status with 2 million positions", Reason: "malformed", Do: sends(func(p *Peer) [][]byte {
			m := many(of(p, p.Device()), 7, nil)
			m = m[:len(m)-len(m)%2-512]
			return slices.Repeat(one(status(p, m)), 4)
		})},
		{Short: true, Name: "a status with a million exceptions", Do: unnoticed(func(p *Peer) [][]byte {
			return one(status(p, p.exceptions(of(p, p.Device()))))
		})},
		{Name: "100 statuses at once", Do: unnoticed(func(p *Peer) [][]byte {
			list := make([][]byte, 100)
			for i := range list {
				dev := p.Device()
				list[i] = status(p, message(nil).uint(1, 1).bytes(2, p.mesh[:]).bytes(3, p.folder[:]).bytes(4, dev[:]).uint(5, 1).uint(6, uint64(i+1)))
			}
			return list
		})},
	}
}

// exceptions adds the sealed part of a status: a million empty ones.
func (p *Peer) exceptions(m message) message {
	dev := p.Device()
	ad := bytes.Join([][]byte{[]byte("shoal/status/v1\x00"), p.folder[:], dev[:], p.epoch.ID[:]}, nil)
	ad = append(ad, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0)
	list := many(nil, 1, nil)[:2_000_000]
	padded := append(make([]byte, 0, block.Padme(len(list)+1)), list...)
	padded = append(padded, 1)[:block.Padme(len(list)+1)]
	return m.uint(11, 1).bytes(12, p.newJournal().sealPart(ad, padded)).bytes(13, p.epoch.ID[:])
}
