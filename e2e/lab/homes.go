//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Homes are private networks behind a router each, and an outside with public addresses that all routers reach. It needs the rights of root,
// and nft(8). Not safe for concurrent use.
type Homes struct {
	net   *Network
	count int
}

// NAT is how a router chooses the port that others see, as nft's masquerade has it.
type NAT string

// Both let in only what answers something that went out to that address and port (RFC 4787, address and port dependent filtering).
const (
	PortRestricted NAT = ""             // one port for everybody: holes can be punched
	Symmetric      NAT = "fully-random" // another port for each destination
)

// The spaces of Homes: the bridge that is the outside, what stands there, and then of each home its router and what is behind that.
const (
	bridgeSpace = iota
	publicSpace
	firstHome
)

// outside begins the addresses of the outside. They are public ones, for which devices behave as on the internet; here nothing leads there.
const outside = "5.9.7"

// NewHomes makes a home for each NAT. Close it. ErrNoNetwork: that is not possible here.
func NewHomes(nats ...NAT) (*Homes, error) {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNetwork, err)
	}
	net, err := NewNetwork(firstHome + 2*len(nats))
	if err != nil {
		return nil, err
	}
	h := &Homes{net: net, count: len(nats)}
	if err := h.build(nats); err != nil {
		return nil, errors.Join(err, net.Close())
	}
	return h, nil
}

func (h *Homes) build(nats []NAT) error {
	at := h.net.Space
	steps := []string{
		"-n " + at(bridgeSpace) + " link add br0 type bridge",
		"-n " + at(bridgeSpace) + " link set br0 up",
	}
	join := func(space, last int) {
		steps = append(steps,
			fmt.Sprintf("link add wan netns %s type veth peer name port%d netns %s", at(space), last, at(bridgeSpace)),
			fmt.Sprintf("-n %s link set port%d master br0 up", at(bridgeSpace), last),
			fmt.Sprintf("-n %s addr add %s.%d/24 dev wan", at(space), outside, last),
			fmt.Sprintf("-n %s link set wan up", at(space)))
	}
	join(publicSpace, 1)
	for i := range nats {
		router, inside := at(h.router(i)), h.Inside(i)
		join(h.router(i), routerLast(i))
		steps = append(steps,
			fmt.Sprintf("link add lan netns %s type veth peer name lan netns %s", router, inside),
			fmt.Sprintf("-n %s addr add 192.168.%d.1/24 dev lan", router, i+1),
			fmt.Sprintf("-n %s addr add 192.168.%d.2/24 dev lan", inside, i+1),
			fmt.Sprintf("-n %s link set lan up", router),
			fmt.Sprintf("-n %s link set lan up", inside),
			fmt.Sprintf("-n %s route add default via 192.168.%d.1", inside, i+1))
	}
	for _, s := range steps {
		if err := ip(s); err != nil {
			return err
		}
	}
	for i, nat := range nats {
		if err := h.rules(i, fmt.Sprintf(routerRules, nat)); err != nil {
			return fmt.Errorf("%w: %w", ErrNoNetwork, err)
		}
		if err := command("ip", "netns", "exec", at(h.router(i)), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"); err != nil {
			return err
		}
	}
	return nil
}

// routerRules make a router forget what nobody asked for.
const routerRules = `
table ip nat {
  chain post {
    type nat hook postrouting priority 100;
    oifname "wan" masquerade %s
  }
}
table ip walls {
  chain incoming {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }
  chain through {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }
}
`

func (h *Homes) router(i int) int { return firstHome + 2*i }

// routerLast is the last number of a router's address outside.
func routerLast(i int) int { return i + 2 }

// rules gives nft rules to a router.
func (h *Homes) rules(i int, rules string) error {
	cmd := exec.Command("ip", "netns", "exec", h.net.Space(h.router(i)), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rules of router %d: %w: %s", i, err, out)
	}
	return nil
}

// Outside is the namespace of what stands in the open, for Device.Space, and OutsideAddr its address.
func (h *Homes) Outside() string { return h.net.Space(publicSpace) }

// OutsideAddr is the address of what stands in the open.
func (h *Homes) OutsideAddr() string { return outside + ".1" }

// Inside is the namespace behind router i.
func (h *Homes) Inside(i int) string { return h.net.Space(h.router(i) + 1) }

// Part keeps homes from sending anything to each other; both still reach what stands in the open.
func (h *Homes) Part() error {
	var errs []error
	for i := range h.count {
		errs = append(errs, h.rules(i, fmt.Sprintf(`
table ip apart {
  chain through {
    type filter hook forward priority -10;
    oifname "wan" ip daddr != %s drop
  }
}
`, h.OutsideAddr())))
	}
	return errors.Join(errs...)
}

// Meet undoes Part.
func (h *Homes) Meet() error {
	var errs []error
	for i := range h.count {
		errs = append(errs, h.rules(i, "delete table ip apart\n"))
	}
	return errors.Join(errs...)
}

// SlowOutside limits what the one in the open sends, in megabits a second.
func (h *Homes) SlowOutside(megabits int) error {
	return command("ip", "netns", "exec", h.Outside(), "tc", "qdisc", "replace", "dev", "wan", "root", "tbf",
		"rate", fmt.Sprintf("%dmbit", megabits), "burst", "256kb", "latency", "200ms")
}

// Close removes everything.
func (h *Homes) Close() error { return h.net.Close() }
