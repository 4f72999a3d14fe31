//go:build linux

package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// hostPort returns where a device listens, for a plain TCP connection.
func (d *device) hostPort(t *testing.T) string {
	t.Helper()
	for _, addr := range d.status(t).Addresses {
		parts := strings.Split(addr, "/")
		if len(parts) > 4 && parts[1] == "ip4" && parts[3] == "tcp" {
			return net.JoinHostPort(parts[2], parts[4])
		}
	}
	t.Fatalf("%s has no TCP address", d.Name)
	return ""
}

// hello is how a libp2p connection begins (multistream-select 1.0.0: uvarint length, text, newline).
const hello = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n"

func TestGarbageOnThePortHarmsNobody(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	addr := a.hostPort(t)
	garbage := map[string][]byte{
		"nothing":              nil,
		"zeros":                make([]byte, 64*kib),
		"HTTP":                 []byte("GET / HTTP/1.1\r\nHost: shoal\r\n\r\n"),
		"a length without end": []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
		"a good beginning":     []byte(hello + "\x16\x03\x01\xff\xff garbage after it"),
	}
	random := make([]byte, mib)
	_, err := io.ReadFull(lab.Random(41), random)
	check(t, err)
	garbage["random"] = random
	for name, bytes := range garbage {
		for range 5 {
			if err := send(addr, bytes); err != nil {
				t.Logf("%s: %v", name, err) // it may hang up on us
			}
		}
	}
	check(t, knockAsStranger(addr))
	a.at(t).write("after", "the garbage")
	settle(t, a, b)
	if devices := a.status(t).Devices; len(devices) != 1 {
		t.Errorf("in the mesh there are %+v", devices)
	}
}

func send(addr string, bytes []byte) error {
	conn, err := net.DialTimeout("tcp", addr, *patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(bytes)
	return err
}

// knockAsStranger goes as far as a stranger can: it speaks the protocol up to TLS and shows a key of its own. An error means that it was
// let further than that, or could not even knock.
func knockAsStranger(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, *patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, hello); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, len(hello))); err != nil {
		return fmt.Errorf("the port does not answer the first words: %w", err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return err
	}
	stranger := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"libp2p"},
		InsecureSkipVerify: true, // a stranger does not care who it talks to
		Certificates:       []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}},
	})
	// In TLS 1.3 the client is done before the server has looked at its certificate: the first read tells.
	if err := stranger.Handshake(); err != nil {
		return nil
	}
	if n, err := stranger.Read(make([]byte, 1)); err == nil {
		return fmt.Errorf("a stranger was answered with %d bytes", n)
	}
	return nil
}

func TestADeviceOfAnotherMeshStaysOutside(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	a.at(t).write("secret", "x")
	settle(t, a, b)
	outsider := newDevice(t, "outsider")
	outsider.Flags = append(outsider.Flags, "--bootstrap", a.status(t).Addresses[0])
	outsider.up(t)
	outsider.at(t).write("own", "y")
	outsider.wait(t, "--peers", "0")
	rest(t, 2)
	tree := settle(t, a, b)
	if len(tree) != 1 {
		t.Errorf("an outsider brought something in:\n%s", tree.List())
	}
	if got := outsider.tree(t); len(got) != 1 {
		t.Errorf("an outsider got something:\n%s", got.List())
	}
	for _, d := range []*device{a, b, outsider} {
		for _, peer := range d.status(t).Devices {
			if peer.Name == "outsider" || d == outsider {
				t.Errorf("%s counts %s among its mesh", d.Name, peer.Name)
			}
		}
	}
}

func TestASecondDaemonOnAHomeIsTurnedAway(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	r, err := a.Up(within(t))
	check(t, err)
	if r.Code != 1 || !strings.Contains(r.Stderr, "running") && !strings.Contains(r.Stderr, "in use") {
		t.Errorf("a second daemon on the home: %s", r)
	}
	a.at(t).write("f", "the first one goes on")
	settle(t, a, b)
}

func TestCommandsSayThatNoDaemonRuns(t *testing.T) {
	t.Parallel()
	a := newDevice(t, "anna")
	for _, args := range [][]string{{"status"}, {"wait"}, {"conflicts"}, {"stop"}, {"devices"}, {"invite", "--json"}, {"rescan"}, {"doctor"}} {
		if r := a.exits(t, 3, args...); !strings.Contains(r.Stderr, "shoal up") {
			t.Errorf("it does not say what to do: %s", r)
		}
	}
	a.up(t)
	check(t, a.Kill()) // leaves its socket behind
	a.exits(t, 3, "status")
}

func TestWaitTimesOutAndSaysWhoOwesWhat(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	settle(t, a, b)
	b.stop(t)
	a.at(t).write("f", "x")
	a.exits(t, 0, "wait", "--peers", "0", "--timeout", "20s")
	r := a.exits(t, 4, "wait", "--timeout", "1s")
	if strings.TrimSpace(r.Stderr) == "" {
		t.Errorf("it does not say what is owed: %s", r)
	}
	a.exits(t, 4, "wait", "--peers", "2", "--timeout", "1s")
	a.exits(t, 2, "wait", "--timeout", "soon")
}

func TestADamagedDatabaseIsRebuiltInANewJournal(t *testing.T) {
	t.Parallel()
	damages := []struct {
		name   string
		damage func(t *testing.T, database string)
	}{
		{"its beginning is zeros", func(t *testing.T, name string) { overwriteWith(t, name, 0, make([]byte, 16*kib)) }},
		{"its middle is garbage", func(t *testing.T, name string) {
			info, err := os.Stat(name)
			check(t, err)
			overwrite(t, name, 8*kib, info.Size()-8*kib, 51)
		}},
		{"all but its beginning is cut off", func(t *testing.T, name string) { check(t, os.Truncate(name, 20*kib)) }},
		{"nothing is left in it", func(t *testing.T, name string) { check(t, os.Truncate(name, 0)) }},
		{"it is gone", func(t *testing.T, name string) { check(t, os.Remove(name)) }},
	}
	a, b := pair(t)
	for i := range 50 {
		a.at(t).write(fmt.Sprintf("d%d/f%d", i%5, i), fmt.Sprint(i))
		b.at(t).write(fmt.Sprintf("e%d/f%d", i%5, i), fmt.Sprint(i))
	}
	want := settle(t, a, b)
	for i, x := range damages {
		t.Run(x.name, func(t *testing.T) {
			meanwhile, afterwards := fmt.Sprintf("written meanwhile %d", i), fmt.Sprintf("written afterwards %d", i)
			journals := len(b.folder(t).Frontier)
			b.stop(t)
			x.damage(t, database(t, b))
			b.at(t).write(meanwhile, x.name)
			b.up(t)
			b.at(t).write(afterwards, x.name)
			tree := settle(t, a, b)
			for _, name := range []string{meanwhile, afterwards} {
				if tree[name].Kind != "file" || a.at(t).read(name) != x.name {
					t.Errorf("%q is %v", name, tree[name])
				}
				want[name] = tree[name]
			}
			if diff := want.Diff(tree); len(diff) > 0 {
				t.Errorf("a damaged database changed files:\n%s", strings.Join(diff, "\n"))
			}
			if now := len(a.folder(t).Frontier); now <= journals {
				t.Errorf("there are %d journals, and there were %d before: none is new", now, journals)
			}
		})
		if t.Failed() {
			return
		}
	}
	noConflicts(t, a, b)
}

func overwriteWith(t *testing.T, name string, offset int64, content []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt(content, offset)
	check(t, errors.Join(err, f.Close()))
}

// database finds the database in a home: its biggest file that is called one.
func database(t *testing.T, d *device) (found string) {
	t.Helper()
	entries, err := os.ReadDir(d.Home)
	check(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".db") {
			if found != "" {
				t.Fatalf("%s and %s may both be the database", found, e.Name())
			}
			found = d.Home + "/" + e.Name()
		}
	}
	if found == "" {
		t.Fatalf("%s has no database", d.Home)
	}
	return found
}

func TestGarbageInAnyPageOfTheDatabaseLosesNothing(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	for i := range 50 {
		a.at(t).write(fmt.Sprintf("d%d/f%d", i%5, i), fmt.Sprint(i))
	}
	want := settle(t, a, b)
	const page = 4 * kib
	for i := range choose[int64](6, 60) {
		b.stop(t)
		overwrite(t, database(t, b), i*page, page, uint64(90+i))
		b.up(t)
		if diff := want.Diff(settle(t, a, b)); len(diff) > 0 {
			t.Fatalf("garbage in page %d changed files:\n%s", i, strings.Join(diff, "\n"))
		}
		name := fmt.Sprintf("after page %d", i)
		b.at(t).write(name, name)
		a.at(t).write("d0/f0", name)
		want = settle(t, a, b)
		if want[name].Kind != "file" {
			t.Fatalf("after garbage in page %d nothing is recorded", i)
		}
	}
	noConflicts(t, a, b)
}
