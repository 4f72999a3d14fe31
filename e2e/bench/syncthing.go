//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/e2e/lab"
)

func newSyncthing(ctx context.Context, _ config, _ string) (peer, error) {
	if err := need(ctx, "syncthing"); err != nil {
		return peer{}, err
	}
	version, err := firstLine(ctx, "syncthing", "--version")
	return peer{name: "syncthing", version: version, open: func(p place) ends { return &syncthingEnds{place: p} }}, err
}

// syncthingEnds are two syncthing processes that share one folder. They are asked over Unix sockets, so that nothing but their own
// talk goes over the wire.
type syncthingEnds struct {
	place place
	a, b  *syncthing
}

// syncthing is one process.
type syncthing struct {
	home, dir, id string
	port          int
	cmd           *exec.Cmd
	http          http.Client
}

// The folder's ID and the key of the REST interface.
const (
	syncthingFolder = "bench"
	syncthingKey    = "bench"
)

func (s *syncthingEnds) start(ctx context.Context) error {
	var err error
	if s.a, err = newSyncthingEnd(ctx, s.place, "a"); err != nil {
		return err
	}
	if s.b, err = newSyncthingEnd(ctx, s.place, "b"); err != nil {
		return err
	}
	for _, end := range []struct{ self, other *syncthing }{{s.a, s.b}, {s.b, s.a}} {
		if err := end.self.configure(end.other); err != nil {
			return err
		}
		if err := end.self.start(ctx, s.place); err != nil {
			return err
		}
	}
	return lab.Poll(ctx, 50*time.Millisecond, func() error {
		for _, end := range []struct{ self, other *syncthing }{{s.a, s.b}, {s.b, s.a}} {
			if err := end.self.ready(ctx, end.other); err != nil {
				return err
			}
		}
		return nil
	})
}

// newSyncthingEnd makes a home with keys.
func newSyncthingEnd(ctx context.Context, p place, name string) (*syncthing, error) {
	s := &syncthing{home: filepath.Join(p.dir, name+".home"), dir: filepath.Join(p.dir, name)}
	if err := os.MkdirAll(filepath.Join(s.dir, ".stfolder"), 0o755); err != nil {
		return nil, err
	}
	var err error
	if s.port, err = lab.FreePort(); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "syncthing", "generate", "--home="+s.home).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make the keys: %w\n%s", err, out)
	}
	// Version 1 has a flag for it, version 2 a command.
	id, err := firstLine(ctx, "syncthing", "--home="+s.home, "--device-id")
	if err != nil {
		id, err = firstLine(ctx, "syncthing", "device-id", "--home="+s.home)
	}
	s.id = id
	s.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.socket())
	}}
	return s, err
}

func (s *syncthing) socket() string { return filepath.Join(s.home, "api") }

// syncthingConfig switches off what does not belong to two ends on one machine, and takes the shortest delay of the watcher that there is.
const syncthingConfig = `<configuration version="36">
<folder id="%s" path="%s" type="sendreceive" rescanIntervalS="0" fsWatcherEnabled="true" fsWatcherDelayS="1">
<device id="%s"/><device id="%s"/></folder>
<device id="%s"><address>tcp://127.0.0.1:%d</address></device>
<device id="%s"><address>tcp://127.0.0.1:%d</address></device>
<gui enabled="true" tls="false"><address>%s</address><apikey>%s</apikey></gui>
<options>
<listenAddress>tcp://127.0.0.1:%d</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled><localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled><natEnabled>false</natEnabled><startBrowser>false</startBrowser>
<reconnectionIntervalS>1</reconnectionIntervalS><urAccepted>-1</urAccepted><autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled><setLowPriority>false</setLowPriority>
</options></configuration>
`

func (s *syncthing) configure(other *syncthing) error {
	text := fmt.Sprintf(syncthingConfig, syncthingFolder, s.dir, s.id, other.id, s.id, s.port, other.id, other.port, s.socket(), syncthingKey, s.port)
	return os.WriteFile(filepath.Join(s.home, "config.xml"), []byte(text), 0o600)
}

func (s *syncthing) start(ctx context.Context, p place) error {
	log, err := os.Create(s.home + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = p.command(context.WithoutCancel(ctx), "syncthing", "serve", "--home="+s.home, "--no-browser", "--no-restart", "--no-upgrade")
	s.cmd.Env = append(os.Environ(), "HOME="+s.home)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	return s.cmd.Start()
}

// call asks the REST interface and decodes the answer into v, which may be nil.
func (s *syncthing) call(ctx context.Context, method, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://syncthing/rest/"+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", syncthingKey)
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for %s: %s: %s", path, resp.Status, strings.TrimSpace(string(body)))
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

// contents is what an end says that it has on its disk.
type contents struct {
	LocalFiles, LocalDirectories, LocalSymlinks, LocalBytes int64
}

// syncthingStatus is the part of the folder's status that counts here.
type syncthingStatus struct {
	contents
	State          string
	NeedTotalItems int64
}

func (s *syncthing) status(ctx context.Context) (status syncthingStatus, err error) {
	err = s.call(ctx, "GET", "db/status?folder="+syncthingFolder, &status)
	return status, err
}

// ready tells whether the first scan is over and the other end is connected.
func (s *syncthing) ready(ctx context.Context, other *syncthing) error {
	status, err := s.status(ctx)
	if err != nil {
		return err
	}
	var connections struct {
		Connections map[string]struct{ Connected bool }
	}
	if err := s.call(ctx, "GET", "system/connections", &connections); err != nil {
		return err
	}
	if status.State != "idle" || !connections.Connections[other.id].Connected {
		return fmt.Errorf("it is %s, and the other is not connected", status.State)
	}
	return nil
}

// look returns when the scan is over.
func (s *syncthingEnds) look(ctx context.Context) error {
	return s.a.call(ctx, "POST", "db/scan?folder="+syncthingFolder, nil)
}

// donePause is how often syncthing is asked whether it is done. Asking costs it some time, so not too often.
const donePause = 25 * time.Millisecond

// done compares what the two ends say of themselves. What the source says of the target is late: it may not have told it of the scan yet.
func (s *syncthingEnds) done(ctx context.Context) error {
	want, err := s.a.status(ctx)
	if err != nil {
		return err
	}
	return lab.Poll(ctx, donePause, func() error {
		have, err := s.b.status(ctx)
		if err != nil {
			return err
		}
		if have.State != "idle" || have.NeedTotalItems > 0 || have.contents != want.contents {
			return fmt.Errorf("%+v, want %+v", have, want.contents)
		}
		return nil
	})
}

func (s *syncthingEnds) pids() []int { return []int{s.a.cmd.Process.Pid, s.b.cmd.Process.Pid} }

func (s *syncthingEnds) folders() (from, to string) {
	return filepath.Join(s.place.dir, "a"), filepath.Join(s.place.dir, "b")
}

func (s *syncthingEnds) stop(ctx context.Context) error {
	var errs []error
	for _, end := range []*syncthing{s.a, s.b} {
		if end == nil || end.cmd == nil || end.cmd.Process == nil {
			continue
		}
		if err := end.call(ctx, "POST", "system/shutdown", nil); err != nil {
			errs = append(errs, err, end.cmd.Process.Kill())
		}
		_ = end.cmd.Wait() // how it ended is not our business
	}
	return errors.Join(errs...)
}
