package node

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/shoalmesh/shoal/node/control"
)

// Doctor implements control.Health.
func (n *Node) Doctor(ctx context.Context) ([]control.Check, error) {
	defer n.changed.ring() // the check of the database takes memory, which is given back when the device has come to rest again
	var out []control.Check
	add := func(name string, err error, ok, fix string) {
		c := control.Check{Name: name, State: control.CheckOK, Message: ok}
		if err != nil {
			c.State, c.Message, c.Fix = control.CheckFail, err.Error(), fix
		}
		out = append(out, c)
	}
	add("keys", n.checkKeys(), "The device key is readable by its owner only.", "chmod 600 "+n.cfg.file(keyFile))
	out = append(out, n.checkPhrase())
	add("database", n.db.Check(ctx), "Every invariant of the index holds.", "Stop Shoal, move "+n.cfg.file(databaseFile)+" aside and start again: it is rebuilt from the disk and from other devices.")
	for _, f := range n.runsNow() {
		snap := f.snapshot()
		add("folder "+f.name(), snap.Err, fmt.Sprintf("%s is %s.", f.path, snap.State), "See the message.")
		for _, p := range snap.Problems {
			out = append(out, control.Check{Name: "folder " + f.name(), State: control.CheckWarn, Message: p.Message, Fix: "See the message."})
		}
	}
	vaults, err := n.checkVaults(ctx)
	if err != nil {
		return nil, err
	}
	out = append(out, vaults...)
	out = append(out, n.checkNetwork(), checkClock(time.Now()), checkProcess())
	out = append(out, n.checkQuiet(time.Now())...)
	return append(out, n.checkDuties()...), nil
}

func (n *Node) checkKeys() error {
	st, err := os.Stat(n.cfg.file(keyFile))
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("others can read the device key (mode %o)", st.Mode().Perm())
	}
	return nil
}

// checkPhrase nags until the recovery phrase was written down.
func (n *Node) checkPhrase() control.Check {
	c := control.Check{Name: "recovery phrase", State: control.CheckOK, Message: "It was shown."}
	if _, err := os.Stat(n.cfg.file(phraseFile)); err == nil {
		c.State = control.CheckWarn
		c.Message = "The recovery phrase was not shown yet. It lies in " + n.cfg.file(phraseFile) + "."
		c.Fix = "Write the words down on paper, then delete the file."
	}
	return c
}

func (n *Node) checkNetwork() control.Check {
	c := control.Check{Name: "network", State: control.CheckOK, Message: fmt.Sprintf("%d of %d other devices are connected.", len(n.host.Peers()), len(n.others()))}
	if len(n.host.Addrs()) == 0 {
		c.State, c.Message, c.Fix = control.CheckFail, "This device listens on no address.", "Check --listen, and whether the network is up."
	} else if len(n.others()) > 0 && len(n.host.Peers()) == 0 {
		c.State, c.Fix = control.CheckWarn, "Are the others running, and on the same network?"
	}
	return c
}

// checkProcess tells what the daemon takes, for who suspects that it grows. It warns of nothing: what is much depends on what there is to do.
func checkProcess() control.Check {
	taken := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(taken)
	memory := taken[0].Value.Uint64() - taken[1].Value.Uint64()
	return control.Check{
		Name: "process", State: control.CheckOK,
		Message: fmt.Sprintf("The daemon has %d goroutines and %d MiB of memory.", runtime.NumGoroutine(), memory>>20),
	}
}

// builtNotBefore is a time that no right clock shows any more.
var builtNotBefore = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func checkClock(now time.Time) control.Check {
	c := control.Check{Name: "clock", State: control.CheckOK, Message: "The clock shows " + now.Format(time.RFC3339) + "."}
	if now.Before(builtNotBefore) {
		c.State, c.Fix = control.CheckWarn, "Set the clock: of two changes made apart the later one wins."
	}
	return c
}
