package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/vault"
)

// Config says what one running vault is made from.
type Config struct {
	Data      string // absolute; created when absent
	Bucket    string // URL of the bucket that keeps everything; Data is a cache of it then. Empty: Data keeps everything
	Name      string // empty: the machine's
	Listen    []string
	NoMDNS    bool
	NoDHT     bool     // it does not serve the hash table in which members find each other
	Bootstrap []string // multiaddrs with /p2p/ where members may be found

	Join    string        // ticket or code of the mesh to keep; empty: it is in one
	Minimum time.Duration // shortest retention, fixed when it joins; 0: a day

	Metrics string // host:port of /healthz and /metrics; empty: none

	Ready    func(control.Started) // called once, when the vault runs
	Progress func(string)          // tells in a line what is going on before Ready
	Log      *slog.Logger

	slot int // of a tenant
}

// Validate refuses what can't run.
func (c *Config) Validate() error {
	if !filepath.IsAbs(c.Data) {
		return errors.New("the data folder must be an absolute path")
	}
	if c.Bucket != "" {
		if _, err := s3store.ParseURL(c.Bucket); err != nil {
			return fmt.Errorf("--s3: %w", err)
		}
	}
	if c.Minimum < vault.LeastRetention {
		return errors.New("the shortest retention is an hour")
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
	if c.Minimum == 0 {
		c.Minimum = 24 * time.Hour
	}
	if c.Name == "" {
		host, _ := os.Hostname()
		if c.Name, _, _ = strings.Cut(host, "."); c.Name == "" {
			c.Name = "vault"
		}
	}
	return c
}

// The files in the data folder.
const (
	keyFile      = "device.key"
	rosterFile   = "roster"
	databaseFile = "index.db"
	packFolder   = "packs"
	vaultFile    = "vault.json"
	settingsFile = "settings.json"
	eventsFile   = "events.jsonl"
	seedFile     = "dht.seed" // of the identity under which it serves the hash table: members know it as a way in
)

func (c *Config) file(name string) string { return filepath.Join(c.Data, name) }
