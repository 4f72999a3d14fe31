package node

import (
	"fmt"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/node/control"
)

// The duties that this device does by itself again and again, besides those of package folder.
const (
	dutyRoster    = "roster save"
	dutyAddresses = "address saving"
	dutyStatus    = "status signing"
	dutyHeads     = "head signing"
)

// dutyKey names a duty, and the folder that it is done for; the zero folder for the device.
type dutyKey struct {
	name   string
	folder shoal.FolderID
}

// duty is how one duty ended lately.
type duty struct {
	done, failed time.Time // the last of each in this run; zero: never
	err          error     // of failed
	broken       bool      // the last time it failed
}

// duties remembers how each duty ended last: two times for each, however often it is done. The zero value is ready; it is safe for concurrent use.
type duties struct {
	mu   sync.Mutex
	last map[dutyKey]duty // guarded by mu
}

// ended notes that a duty was done, or why it was not.
func (d *duties) ended(k dutyKey, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = map[dutyKey]duty{}
	}
	now := d.last[k]
	if err == nil {
		now.done, now.broken = time.Now(), false
	} else {
		now.failed, now.err, now.broken = time.Now(), err, true
	}
	d.last[k] = now
}

// told returns what notes how a duty of the device ended.
func (d *duties) told(name string) func(error) {
	return func(err error) { d.ended(dutyKey{name: name}, err) }
}

// forget drops what is known of a folder that is not kept here any more.
func (d *duties) forget(f shoal.FolderID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range d.last {
		if k.folder == f {
			delete(d.last, k)
		}
	}
}

// check says how a duty stands. where is the folder's name; empty for the device.
func (d *duties) check(k dutyKey, where string) control.Check {
	d.mu.Lock()
	last := d.last[k]
	d.mu.Unlock()
	c := control.Check{Name: k.name, State: control.CheckOK, Message: "There was nothing to do since the start."}
	if !last.done.IsZero() {
		c.Message = "Last done " + ago(last.done) + "."
	}
	if last.broken {
		c.State = control.CheckWarn
		c.Message = fmt.Sprintf("Failed %s: %v.", ago(last.failed), last.err)
		c.Fix = "It is tried again by itself. It was not done since the start."
		if !last.done.IsZero() {
			c.Fix = "It is tried again by itself. It was last done " + ago(last.done) + "."
		}
	} else if last.err != nil {
		c.Message += fmt.Sprintf(" It failed %s: %v.", ago(last.failed), last.err)
	}
	if where != "" {
		c.Message = where + ": " + c.Message
	}
	return c
}

// ago tells a time, and how long it is past.
func ago(at time.Time) string {
	return fmt.Sprintf("%s ago, at %s", max(0, time.Since(at)).Round(time.Second), at.Format(time.RFC3339))
}

// checkDuties says of each duty when it was last done.
func (n *Node) checkDuties() []control.Check {
	out := []control.Check{
		n.duties.check(dutyKey{name: dutyRoster}, ""),
		n.duties.check(dutyKey{name: dutyAddresses}, ""),
	}
	for _, f := range n.runsNow() {
		for _, name := range []string{string(folder.DutyRescan), string(folder.DutyPrune), string(folder.DutyLate), dutyStatus, dutyHeads} {
			out = append(out, n.duties.check(dutyKey{name, f.id}, f.name()))
		}
	}
	return out
}
