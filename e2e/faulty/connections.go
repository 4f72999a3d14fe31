package faulty

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/indexexchange"
)

// Protocols of package p2p, which others do not open.
const (
	pairing = "/shoal/pair/1"
	linking = "/shoal/link/1"
)

// connections are connections and streams in numbers and states that no honest device has.
func connections() []Misbehaviour {
	return []Misbehaviour{
		{Short: true, Name: "1,000 index streams, each with greetings", Reason: "session was replaced", Do: opensAll(indexexchange.Protocol, 1000)},
		{Short: true, Name: "1,000 block streams, none of which is ended", Do: opensAll(blockexchange.Protocol, 1000)},
		{Name: "streams are opened and reset 2,000 times", Do: opensAndResets(2000)},
		{Name: "streams are opened and reset 100,000 times", Do: opensAndResets(100_000)},
		{Name: "a stream of a protocol that does not exist", Do: func(ctx context.Context, p *Peer) error {
			if _, err := p.open(ctx, "/shoal/nonsense/1"); err == nil {
				return fmt.Errorf("the victim speaks a protocol that does not exist")
			}
			return nil
		}},
		{Name: "a second handshake inside a connection", Do: speaks(linking, frame(message(nil).bytes(1, message(nil).uint(1, 7))))},
		{Name: "garbage in place of a handshake", Do: speaks(linking, random(1000))},
		{Name: "pairing with garbage", Reason: "pairing ended", Do: speaks(pairing, frame(random(1000)))},
		{Name: "a pairing message of 4 GiB is announced", Reason: "pairing ended", Do: speaks(pairing, []byte{0xff, 0xff, 0xff, 0xff, 0x0f})},
		{Short: true, Name: "an invitation is guessed 100 times", Reason: "pairing ended", Do: func(ctx context.Context, p *Peer) error {
			for range 100 {
				if err := speaks(pairing, frame(message(nil).bytes(1, message(nil).bytes(1, random(16)))))(ctx, p); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "a pairing that is begun and never goes on", Do: func(ctx context.Context, p *Peer) error {
			for range 20 { // more than are allowed at once are refused
				if l, err := p.open(ctx, pairing); err == nil {
					_, _ = l.Write([]byte{100, 1})
				}
			}
			return nil
		}},
		{Short: true, Name: "ten connections in a second", Do: func(ctx context.Context, p *Peer) error {
			for range 10 {
				if err := p.ComeAndGreet(ctx); err != nil {
					return err
				}
			}
			return nil
		}},
		{Short: true, Name: "garbage in place of a connection, 200 times", Do: dials(200, random(500))},
		{Name: "200 connections that say nothing", Do: dials(200, nil)},
		{Name: "a connection that begins and never goes on", Do: dials(50, []byte("\x13/multistream/1.0.0\n"))},
	}
}

// opensAll opens streams and leaves them open.
func opensAll(protocol string, count int) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		for range count {
			l, err := p.open(ctx, protocol)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue // the victim has had enough of them
			}
			_, _ = l.Write(frame(nil)[:0])
		}
		return nil
	}
}

func opensAndResets(count int) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		for i := range count {
			protocol := indexexchange.Protocol
			if i%2 == 0 {
				protocol = blockexchange.Protocol
			}
			s, err := p.host.Open(ctx, p.Victim, protocol)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue
			}
			_ = s.Reset()
		}
		return nil
	}
}

// speaks writes bytes on a stream and waits until the victim ends it.
func speaks(protocol string, raw []byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		l, err := p.open(ctx, protocol)
		if err != nil {
			return ctx.Err() // the victim does not want it
		}
		defer l.Reset()
		_, _ = l.Write(raw) // the victim may reset the stream meanwhile
		return l.drained()
	}
}

// dials opens connections below the handshake, writes bytes on each and leaves them open for a moment.
func dials(count int, raw []byte) func(context.Context, *Peer) error {
	return func(ctx context.Context, p *Peer) error {
		at, err := p.dialable()
		if err != nil {
			return err
		}
		var conns []net.Conn
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		for range count {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", at)
			if err != nil {
				return err
			}
			conns = append(conns, c)
			_, _ = c.Write(raw)
		}
		last := conns[len(conns)-1]
		_ = last.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, _ = last.Read(make([]byte, 1))
		return nil
	}
}

// dialable is the victim's TCP address on this machine.
func (p *Peer) dialable() (string, error) {
	for _, a := range p.addrs {
		parts := strings.Split(a, "/")
		if len(parts) > 4 && parts[1] == "ip4" && parts[3] == "tcp" {
			return net.JoinHostPort(parts[2], parts[4]), nil
		}
	}
	return "", fmt.Errorf("no TCP address among %v", p.addrs)
}
