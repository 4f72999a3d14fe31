//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// partySize is how much travels over slow cables, in bytes.
const partySize = 128 << 20

// fullCable is the width of a slow cable, in megabits a second.
const fullCable = 100

// party is more devices of one mesh than two, each in a network namespace of its own.
type party struct {
	net     *lab.Network
	devices []*lab.Device
}

// newParty starts n devices below dir that are all connected by fast cables.
func newParty(ctx context.Context, program, dir string, n int) (*party, error) {
	net, err := lab.NewNetwork(n)
	if err != nil {
		return nil, err
	}
	p := &party{net: net}
	err = net.PlugAll()
	if err == nil {
		err = p.start(ctx, program, dir, n)
	}
	if err != nil {
		return nil, errors.Join(err, p.end(ctx))
	}
	return p, nil
}

// start makes devices one mesh.
func (p *party) start(ctx context.Context, program, dir string, n int) error {
	for i := range n {
		name := fmt.Sprintf("party%d", i)
		d := &lab.Device{
			Program: program, Name: name, Home: filepath.Join(dir, name+".home"), Dir: filepath.Join(dir, name),
			Log: filepath.Join(dir, name+".log"), Space: p.net.Space(i), Flags: []string{"--no-mdns"}, Listen: "/ip4/0.0.0.0/tcp/4001",
		}
		if err := os.Mkdir(d.Dir, 0o755); err != nil {
			return err
		}
		p.devices = append(p.devices, d)
		if i > 0 {
			if err := lab.Join(ctx, p.devices[0], d); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(d.Start(), d.Ready(ctx)); err != nil {
			return err
		}
	}
	return p.meet(ctx, n-1)
}

// meet returns when every device is connected to so many others.
func (p *party) meet(ctx context.Context, others int) error {
	for _, d := range p.devices {
		if err := p.connected(ctx, d, others); err != nil {
			return err
		}
	}
	return nil
}

func (p *party) connected(ctx context.Context, d *lab.Device, others int) error {
	return lab.Poll(ctx, donePause, func() error {
		st, err := d.Status(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, peer := range st.Devices {
			if peer.Connected {
				n++
			}
		}
		if n != others {
			return fmt.Errorf("%s is connected to %d devices, not %d", d.Name, n, others)
		}
		return nil
	})
}

// folder runs a command on the folder of some devices.
func (p *party) folder(ctx context.Context, command string, devices ...*lab.Device) error {
	for _, d := range devices {
		st, err := d.Status(ctx)
		if err != nil {
			return err
		}
		if len(st.Folders) != 1 {
			return fmt.Errorf("%s has %d folders", d.Name, len(st.Folders))
		}
		if err := succeed(ctx, d, "folder", command, st.Folders[0].Name); err != nil {
			return err
		}
	}
	return nil
}

// give makes a file of size random bytes on the first device and returns when others have it.
func (p *party) give(ctx context.Context, name string, size int64, seed uint64, others ...*lab.Device) error {
	if err := lab.RandomFile(filepath.Join(p.devices[0].Dir, name), size, seed); err != nil {
		return err
	}
	if err := succeed(ctx, p.devices[0], "rescan"); err != nil {
		return err
	}
	return p.have(ctx, name, others...)
}

// have returns when devices have a file that the first one has.
func (p *party) have(ctx context.Context, name string, devices ...*lab.Device) error {
	given, err := os.Stat(filepath.Join(p.devices[0].Dir, name))
	if err != nil {
		return err
	}
	for _, d := range devices {
		err := lab.Poll(ctx, donePause, func() error {
			st, err := os.Stat(filepath.Join(d.Dir, name))
			if err == nil && st.Size() != given.Size() {
				err = fmt.Errorf("%s has %d bytes of %s", d.Name, st.Size(), name)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fetch lets paused devices go on and tells how long it takes until all have a file.
func (p *party) fetch(ctx context.Context, name string, devices ...*lab.Device) (time.Duration, error) {
	began := time.Now()
	if err := p.folder(ctx, "resume", devices...); err != nil {
		return 0, err
	}
	err := p.have(ctx, name, devices...)
	return time.Since(began), err
}

func (p *party) end(ctx context.Context) error {
	var errs []error
	for _, d := range p.devices {
		if d.Running() {
			_, err := d.Stop(ctx)
			errs = append(errs, err)
		}
	}
	return errors.Join(errors.Join(errs...), p.net.Close())
}

// versus measures what n devices do with one of them taking part and then with all, in one mesh.
func versus(ctx context.Context, s *session, n, all int, measure func(context.Context, *party, int) (time.Duration, error)) (one, many time.Duration, err error) {
	p, err := newParty(ctx, s.ends.(*shoalEnds).program, s.dir, n)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.end(context.WithoutCancel(ctx))) }()
	if one, err = measure(ctx, p, 1); err != nil {
		return 0, 0, fmt.Errorf("with one: %w", err)
	}
	if many, err = measure(ctx, p, all); err != nil {
		return 0, 0, fmt.Errorf("with %d: %w", all, err)
	}
	return one, many, nil
}
