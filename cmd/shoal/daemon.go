package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/shoalmesh/shoal/node"
	"github.com/shoalmesh/shoal/node/control"
)

// daemonConfig is what a running device is made from.
type daemonConfig struct {
	Home       string // absolute; created when absent
	Dir        string // the folder that was asked for, absolute; empty: none was
	DefaultDir string // where a first run without Dir puts the folder
	Name       string // of this device; empty: the machine's
	Listen     []string
	API        string
	NoAPI      bool
	NoMDNS     bool
	NoDHT      bool
	Bootstrap  []string

	Join        string        // code or ticket of the mesh to join; empty: none
	Recover     *node.Recover // bring a mesh back from its phrase; nil: do not
	AutoAdmit   bool          // admit one holder of the ticket as member
	RecoveryOut string        // file for the recovery phrase, absolute; empty: none
	Service     bool          // no first-run steps

	// Ready is called once, when the device runs.
	Ready func(control.Started)
	// ShowPhrase shows the recovery phrase; nil when there is no terminal. A nil error means that a person saw it.
	ShowPhrase func(words string) error
	// Ask asks a person whether a guest is to be admitted; nil when there is no terminal. Its context ends when the
	// answer came from elsewhere.
	Ask func(context.Context, control.Request) (bool, error)
	// Progress tells in a line what is going on before Ready.
	Progress func(string)
	Log      *slog.Logger
}

// daemonFunc runs a device until ctx ends (it then returns nil) or something stops it.
type daemonFunc func(ctx context.Context, c daemonConfig) error

// gcPercent is how much garbage a device gathers, in percent of what lives, before it is collected. A program that always runs should be small: this
// takes 5 to 10 MiB off the memory at work. Half of the default takes twice that, but costs a sixth of the processor's time with small files.
const gcPercent = 80

// runDaemon is the device of package node. The web address (API) comes later: until then its flags are accepted and do nothing.
var runDaemon daemonFunc = func(ctx context.Context, c daemonConfig) (err error) {
	stop, err := startProfile(os.Getenv(profileVariable))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return node.Run(ctx, node.Config{
		Home: c.Home, Dir: c.Dir, DefaultDir: c.DefaultDir, Name: c.Name, Listen: c.Listen, NoMDNS: c.NoMDNS, NoDHT: c.NoDHT, Bootstrap: c.Bootstrap,
		Join: c.Join, Recover: c.Recover, AutoAdmit: c.AutoAdmit, RecoveryOut: c.RecoveryOut, Service: c.Service,
		Ready: c.Ready, ShowPhrase: c.ShowPhrase, Ask: c.Ask, Progress: c.Progress, Log: c.Log,
	})
}
