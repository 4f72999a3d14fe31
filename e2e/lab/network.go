//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
)

// Network is a set of network namespaces, numbered from 0, and the cables between them. Every cable is a subnet of its own and nothing
// forwards, so two spaces reach each other only if a cable joins them. It needs the rights of root. Not safe for concurrent use.
type Network struct {
	names  []string
	cables map[cable]bool // true: plugged in
}

// cable joins two spaces, the lower one first.
type cable struct{ a, b int }

func newCable(a, b int) cable { return cable{min(a, b), max(a, b)} }

// ErrNoNetwork is wrapped when this process may not make network namespaces.
var ErrNoNetwork = errors.New("network namespaces are not allowed here")

// networks numbers the networks of this process.
var networks atomic.Int64

// NewNetwork makes n spaces with a loopback each and no cables. Close it.
func NewNetwork(n int) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: this is not root", ErrNoNetwork)
	}
	net := &Network{cables: map[cable]bool{}}
	id := networks.Add(1)
	for i := range n {
		name := fmt.Sprintf("shoal%d-%d-%d", os.Getpid(), id, i)
		if err := ip("netns add " + name); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoNetwork, err), net.Close())
		}
		net.names = append(net.names, name)
		if err := ip("-n " + name + " link set lo up"); err != nil {
			return nil, errors.Join(err, net.Close())
		}
	}
	return net, nil
}

// Close removes everything.
func (n *Network) Close() error {
	var errs []error
	for _, name := range n.names {
		errs = append(errs, ip("netns del "+name))
	}
	n.names = nil
	return errors.Join(errs...)
}

// Space returns the name of a namespace, for Device.Space.
func (n *Network) Space(i int) string { return n.names[i] }

// end is the name of the cable's interface in space a, where it leads to b.
func end(b int) string { return fmt.Sprintf("to%d", b) }

// Addr returns the address of space a on its cable to b.
func Addr(a, b int) string {
	c, last := newCable(a, b), 1
	if a > b {
		last = 2
	}
	return fmt.Sprintf("10.%d.%d.%d", c.a, c.b, last)
}

// Plug joins two spaces.
func (n *Network) Plug(a, b int) error {
	c := newCable(a, b)
	if plugged, laid := n.cables[c]; plugged {
		return nil
	} else if !laid {
		if err := ip(fmt.Sprintf("link add %s netns %s type veth peer name %s netns %s", end(b), n.names[a], end(a), n.names[b])); err != nil {
			return err
		}
	}
	n.cables[c] = true
	for _, s := range [][2]int{{a, b}, {b, a}} {
		// Taking an interface down takes its route away but keeps its address.
		if err := ip(fmt.Sprintf("-n %s addr replace %s/30 dev %s", n.names[s[0]], Addr(s[0], s[1]), end(s[1]))); err != nil {
			return err
		}
		if err := ip(fmt.Sprintf("-n %s link set %s up", n.names[s[0]], end(s[1]))); err != nil {
			return err
		}
	}
	return nil
}

// Cut takes the cable between two spaces out. Connections over it are broken at once, as a device that lost its network sees it: else
// it would take minutes until either side gave up.
func (n *Network) Cut(a, b int) error {
	c := newCable(a, b)
	if !n.cables[c] {
		return nil
	}
	n.cables[c] = false
	for _, s := range [][2]int{{a, b}, {b, a}} {
		if err := ip(fmt.Sprintf("-n %s link set %s down", n.names[s[0]], end(s[1]))); err != nil {
			return err
		}
	}
	for _, s := range [][2]int{{a, b}, {b, a}} {
		if err := command("ip", "netns", "exec", n.names[s[0]], "ss", "-K", "dst", Addr(s[1], s[0])); err != nil {
			return err
		}
	}
	return nil
}

// PlugAll joins every space with every other; CutAll cuts all cables.
func (n *Network) PlugAll() error {
	var errs []error
	for a := range n.names {
		for b := range a {
			errs = append(errs, n.Plug(a, b))
		}
	}
	return errors.Join(errs...)
}

// CutAll cuts all cables.
func (n *Network) CutAll() error {
	var errs []error
	for c := range n.cables {
		errs = append(errs, n.Cut(c.a, c.b))
	}
	return errors.Join(errs...)
}

// Slow limits what space a sends to b, in megabits a second.
func (n *Network) Slow(a, b, megabits int) error {
	return command("ip", "netns", "exec", n.names[a], "tc", "qdisc", "replace", "dev", end(b), "root", "tbf",
		"rate", fmt.Sprintf("%dmbit", megabits), "burst", "256kb", "latency", "200ms")
}

// Block closes a port for space a, over TCP and UDP: its own to others, and theirs to it.
func (n *Network) Block(a, port int) error {
	chain := func(hook string) string {
		return fmt.Sprintf("add chain ip block %s { type filter hook %s priority 0; }; add rule ip block %s meta l4proto { tcp, udp } th dport %d reject; ", hook, hook, hook, port)
	}
	return command("ip", "netns", "exec", n.names[a], "nft", "add table ip block; "+chain("input")+chain("output"))
}

// Received returns the bytes that space a got over its cable from b, headers included.
func (n *Network) Received(a, b int) (int64, error) {
	out, err := exec.Command("ip", "netns", "exec", n.names[a], "cat", "/proc/net/dev").Output()
	if err != nil {
		return 0, err
	}
	in, _, err := counters(string(out), end(b))
	return in, err
}

func ip(args string) error { return command("ip", strings.Fields(args)...) }

func command(name string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return nil
}
