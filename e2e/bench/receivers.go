//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// manyReceivers is five receivers of one sender whose upload is limited, and for comparison one of them. Each of the five cables
// gets a fifth of the upload.
var manyReceivers = workload{
	name: "receivers", alone: true,
	what: func(config) string {
		return fmt.Sprintf("%d MiB to five receivers, upload %d Mbit/s in all", partySize>>20, fullCable)
	},
	run: func(ctx context.Context, s *session) (out outcome, err error) {
		one, five, err := versus(ctx, s, 6, 5, toReceivers)
		if err != nil {
			return out, err
		}
		out.cost, out.bytes = cost{Wall: five}, 5*partySize
		out.remarks = []string{fmt.Sprintf("five receivers take %.2f times as long as one, which takes %.2f s", five.Seconds()/one.Seconds(), one.Seconds())}
		return out, nil
	},
}

// toReceivers measures how long n devices take to get a file from the first one, while the others are paused.
func toReceivers(ctx context.Context, p *party, n int) (time.Duration, error) {
	receivers := p.devices[1:]
	name := fmt.Sprintf("to %d", n)
	if err := p.folder(ctx, "pause", receivers...); err != nil {
		return 0, err
	}
	for i := range receivers {
		if err := p.net.Slow(0, i+1, fullCable/n); err != nil {
			return 0, err
		}
	}
	if err := p.give(ctx, name, partySize, uint64(10+n)); err != nil {
		return 0, err
	}
	return p.fetch(ctx, name, receivers[:n]...)
}
