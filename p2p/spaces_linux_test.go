package p2p

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
)

// spaces are network namespaces of one test, by name.
type spaces struct {
	t    *testing.T
	full map[string]string
}

var spacesMade atomic.Int64

// newSpaces makes namespaces; it skips the test where that is not allowed.
func newSpaces(t *testing.T, names ...string) *spaces {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (e2e/install-tools.sh)", tool)
		}
	}
	s := &spaces{t: t, full: map[string]string{}}
	id := spacesMade.Add(1)
	t.Cleanup(func() {
		for _, full := range s.full {
			_ = exec.Command("ip", "netns", "del", full).Run()
		}
	})
	for _, name := range names {
		full := fmt.Sprintf("shoalp2p%d-%d-%s", os.Getpid(), id, name)
		if out, err := exec.Command("ip", "netns", "add", full).CombinedOutput(); err != nil {
			t.Skipf("network namespaces are not allowed here: %v: %s", err, out)
		}
		s.full[name] = full
		s.ip(name, "link set lo up")
	}
	return s
}

// ip runs ip in a space.
func (s *spaces) ip(space, args string) {
	s.t.Helper()
	s.run("ip", append([]string{"-n", s.full[space]}, strings.Fields(args)...)...)
}

func (s *spaces) run(name string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// cable joins two spaces with interfaces named "to-" and the other's name.
func (s *spaces) cable(a, b string) {
	s.t.Helper()
	s.run("ip", "link", "add", "to-"+b, "netns", s.full[a], "type", "veth", "peer", "name", "to-"+a, "netns", s.full[b])
	s.ip(a, "link set to-"+b+" up")
	s.ip(b, "link set to-"+a+" up")
}

// rules gives nft rules to a space.
func (s *spaces) rules(space, rules string) {
	s.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", s.full[space], "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Skipf("no NAT in this kernel: %v: %s", err, out)
	}
}

// router makes a space one that leads from inside to outside: it forgets what nobody asked for. How its NAT chooses
// ports is said by masquerade.
func (s *spaces) router(space, inside, outside, masquerade string) {
	s.t.Helper()
	rules := fmt.Sprintf(`
table ip nat {
  chain post {
    type nat hook postrouting priority 100;
    oifname "to-%s" masquerade %s
  }
}
table ip walls {
  chain incoming {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "to-%s" accept
  }
  chain through {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "to-%s" accept
  }
}
`, outside, masquerade, inside, inside)
	s.rules(space, rules)
	s.run("ip", "netns", "exec", s.full[space], "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
}

// deviceSpec is what a device in another process is made from.
type deviceSpec struct {
	Key     string              // file
	Relay   bool                // Config.Relay
	Members map[string][]string // all devices of the mesh, and where they are
	Relays  []string
}

// remote is a host that runs in a space, in a process of its own.
type remote struct {
	t      *testing.T
	dev    shoal.DeviceID
	in     io.Writer
	out    *bufio.Scanner
	stderr bytes.Buffer
	mu     sync.Mutex // one question at a time
}

const deviceEnv = "SHOAL_P2P_TEST_DEVICE"

// device starts a host in a space.
func (s *spaces) device(space string, id *mesh.Identity, spec deviceSpec) *remote {
	s.t.Helper()
	spec.Key = filepath.Join(s.t.TempDir(), "key")
	if err := id.Save(spec.Key); err != nil {
		s.t.Fatal(err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", s.full[space], os.Args[0], "-test.run=^TestDeviceInASpace$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), deviceEnv+"="+string(raw))
	r := &remote{t: s.t, dev: id.Device()}
	cmd.Stderr = &r.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	r.in, r.out = in, bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = in.Close() // it ends with its input
		_ = cmd.Wait()
		if s.t.Failed() && r.stderr.Len() > 0 {
			s.t.Logf("%s %s:\n%s", space, r.dev.Short(), r.stderr.String())
		}
	})
	return r
}

// ask sends a command and returns the answer.
func (r *remote) ask(command string) string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintln(r.in, command); err != nil {
		r.t.Fatal(err)
	}
	for r.out.Scan() {
		if answer, ok := strings.CutPrefix(r.out.Text(), "= "); ok {
			return answer
		}
	}
	r.t.Fatalf("%s: no answer to %q", r.dev.Short(), command)
	return ""
}

// transport is how the device is connected with another; empty: not at all.
func (r *remote) transport(dev shoal.DeviceID) Transport {
	return Transport(r.ask("how " + dev.String()))
}

// losses is how often the device has lost a link.
func (r *remote) losses() string { return r.ask("losses") }

// TestDeviceInASpace is no test: it is the device that spaces.device starts.
func TestDeviceInASpace(t *testing.T) {
	raw := os.Getenv(deviceEnv)
	if raw == "" {
		t.Skip("only runs for tests in namespaces")
	}
	var spec deviceSpec
	if err := json.Unmarshal([]byte(raw), &spec); err != nil {
		t.Fatal(err)
	}
	id, err := mesh.LoadIdentity(spec.Key)
	if err != nil {
		t.Fatal(err)
	}
	members := map[shoal.DeviceID][]string{}
	for text, addrs := range spec.Members {
		dev, err := shoal.ParseDeviceID(text)
		if err != nil {
			t.Fatal(err)
		}
		members[dev] = addrs
	}
	h, err := New(Config{
		Identity: id, Listen: []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"}, RuntimeDirs: []string{}, Relay: spec.Relay,
		Gate: func(d shoal.DeviceID) bool { _, ok := members[d]; return ok }, Log: testLog(t), Heartbeat: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	echo(h)
	var relays []shoal.DeviceID
	for _, text := range spec.Relays {
		dev, err := shoal.ParseDeviceID(text)
		if err != nil {
			t.Fatal(err)
		}
		relays = append(relays, dev)
	}
	h.SetRelays(relays)
	h.SetMembers(members)
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var losses atomic.Int64
	running.Go(func() {
		for e := range h.Events() {
			if !e.Up {
				losses.Add(1)
			}
		}
	})
	obey(h, &losses, os.Stdin, os.Stdout)
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	running.Wait()
}

// obey answers commands until in ends.
func obey(h *Host, losses *atomic.Int64, in io.Reader, out io.Writer) {
	var f *flow
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		verb, arg, _ := strings.Cut(lines.Text(), " ")
		answer := ""
		switch verb {
		case "how":
			for _, p := range h.Peers() {
				if p.Device.String() == arg {
					answer = string(p.Transport)
				}
			}
		case "losses":
			answer = strconv.FormatInt(losses.Load(), 10)
		case "start":
			answer = "ok"
			var err error
			if f, err = startFlow(h, arg); err != nil {
				answer = err.Error()
			}
		case "finish":
			answer = f.finish()
		}
		fmt.Fprintln(out, "= "+answer)
	}
}

// flow sends bytes to an echo without pause and compares what comes back.
type flow struct {
	stop chan struct{}
	done chan string
}

func startFlow(h *Host, text string) (*flow, error) {
	dev, err := shoal.ParseDeviceID(text)
	if err != nil {
		return nil, err
	}
	s, err := h.Open(context.Background(), dev, echoProtocol)
	if err != nil {
		return nil, err
	}
	f := &flow{stop: make(chan struct{}), done: make(chan string, 2)}
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	go func() {
		for {
			select {
			case <-f.stop:
				_ = s.CloseWrite()
				return
			default:
			}
			if _, err := s.Write(chunk); err != nil {
				f.done <- "write: " + err.Error()
				return
			}
		}
	}()
	go func() {
		got, total := make([]byte, len(chunk)), 0
		for {
			n, err := io.ReadFull(s, got)
			total += n
			if err == io.EOF {
				_ = s.Close()
				f.done <- fmt.Sprintf("whole %d", total)
				return
			}
			if err != nil || !bytes.Equal(got, chunk) {
				f.done <- fmt.Sprintf("read after %d: %v", total, err)
				return
			}
		}
	}()
	return f, nil
}

// finish stops sending, and tells how it went.
func (f *flow) finish() string {
	close(f.stop)
	select {
	case s := <-f.done:
		return s
	case <-time.After(30 * time.Second):
		return "stuck"
	}
}
