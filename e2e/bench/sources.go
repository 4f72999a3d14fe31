//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// manySources is one receiver with three senders behind slow cables, and for comparison with one of them.
var manySources = workload{
	name: "sources", alone: true,
	what: func(config) string {
		return fmt.Sprintf("%d MiB from three senders of %d Mbit/s each", partySize>>20, fullCable)
	},
	run: func(ctx context.Context, s *session) (out outcome, err error) {
		one, three, err := versus(ctx, s, 4, 3, fromSenders)
		if err != nil {
			return out, err
		}
		out.cost, out.bytes = cost{Wall: three}, partySize
		out.remarks = []string{fmt.Sprintf("three senders are %.2f times as fast as one, which takes %.2f s", one.Seconds()/three.Seconds(), one.Seconds())}
		return out, nil
	},
}

// fromSenders measures how long the last device takes to get a file that the three others have from the first n of them.
func fromSenders(ctx context.Context, p *party, n int) (time.Duration, error) {
	receiver := p.devices[3]
	name := fmt.Sprintf("from %d", n)
	if err := p.folder(ctx, "pause", receiver); err != nil {
		return 0, err
	}
	if err := p.give(ctx, name, partySize, uint64(n), p.devices[1], p.devices[2]); err != nil {
		return 0, err
	}
	for i := range 3 {
		change := p.net.Plug
		if i >= n {
			change = p.net.Cut
		}
		if err := change(i, 3); err != nil {
			return 0, err
		}
	}
	if err := p.connected(ctx, receiver, n); err != nil {
		return 0, err
	}
	for i := range n {
		if err := p.net.Slow(i, 3, fullCable); err != nil {
			return 0, err
		}
	}
	return p.fetch(ctx, name, receiver)
}
