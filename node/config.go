package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/shoalmesh/shoal/node/control"
)

// Config says what one running device is made from.
type Config struct {
	Home       string // absolute; created when absent
	Dir        string // the folder that was asked for, absolute; empty: none was
	DefaultDir string // where a first run without Dir puts the folder
	Name       string // of this device; empty: the machine's
	Listen     []string
	NoMDNS     bool
	NoDHT      bool
	Bootstrap  []string // multiaddrs with /p2p/ where members may be found, or the hash table entered

	Join        string   // code or ticket of the mesh to join; empty: none
	Recover     *Recover // bring a mesh back from its phrase; nil: do not
	AutoAdmit   bool     // admit one holder of the printed ticket as member
	RecoveryOut string   // file for the recovery phrase, absolute; empty: none
	Service     bool     // no first-run steps

	// Ready is called once, when the device runs.
	Ready func(control.Started)
	// ShowPhrase shows the recovery phrase; nil when there is no terminal. A nil error means that a person saw it.
	ShowPhrase func(words string) error
	// Ask asks a person whether a guest is to be admitted; nil when there is no terminal. Its context ends when the answer came from
	// elsewhere.
	Ask func(context.Context, control.Request) (bool, error)
	// Progress tells in a line what is going on before Ready.
	Progress func(string)
	Log      *slog.Logger
}

// Validate refuses what can't run.
func (c *Config) Validate() error {
	if !filepath.IsAbs(c.Home) {
		return errors.New("the home must be an absolute path")
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		return errors.New("the folder must be an absolute path")
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Ready == nil {
		c.Ready = func(control.Started) {}
	}
	if c.Name == "" {
		c.Name = machineName()
	}
	return c
}

// machineName is what a device is called when nobody said.
func machineName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "device"
	}
	short, _, _ := strings.Cut(host, ".")
	if short == "" {
		return "device"
	}
	return short
}

// The files of a home.
const (
	keyFile      = "device.key"
	rosterFile   = "roster"
	databaseFile = "index.db"
	settingsFile = "settings.json"
	eventsFile   = "events.jsonl"
	phraseFile   = "recovery-phrase" // until it was shown; mode 0600
)

func (c *Config) file(name string) string { return filepath.Join(c.Home, name) }
