package node

import (
	"context"
	"fmt"
	"time"

	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
)

// checkVaults says of each vault whether it keeps what it acknowledged, and whether its copies are proved.
func (n *Node) checkVaults(ctx context.Context) (out []control.Check, err error) {
	problems := n.vaults.problems(n)
	for _, v := range n.vaultsNow() {
		if msg := n.vaults.messageOf(lapseKey{vault: v.ID}); msg != "" && told(problems, msg) {
			out = append(out, control.Check{
				Name: "roster of " + v.Name, State: control.CheckFail, Message: msg,
				Fix: "Ask whoever runs it. It is told the whole roster each time that it is connected; if it goes on, revoke it: shoal devices revoke " + v.Name,
			})
		}
		for _, f := range n.runsNow() {
			if _, err := n.settleProofs(ctx, f); err != nil {
				return nil, err
			}
			c := control.Check{Name: "vault " + v.Name, State: control.CheckOK}
			err := f.index.View(func(tx *index.Tx) error { return n.checkCopies(tx, f, v.ID, &c) })
			if err != nil {
				return nil, err
			}
			if msg := n.vaults.messageOf(lapseKey{v.ID, f.id}); msg != "" && told(problems, msg) {
				c.State, c.Message = control.CheckFail, msg
				c.Fix = "Ask whoever runs it. What devices of the mesh have goes there again by itself; until then its copies count for nothing. If nobody reset it, revoke it: shoal devices revoke " + v.Name
			}
			out = append(out, c)
		}
	}
	for _, p := range problems {
		if p.Kind == "copy" {
			out = append(out, control.Check{Name: "copies", State: control.CheckWarn, Message: p.Message, Fix: "Check that device's disk and memory: shoal doctor --deep there."})
		}
	}
	return out, nil
}

func told(problems []control.Problem, message string) bool {
	for _, p := range problems {
		if p.Message == message {
			return true
		}
	}
	return false
}

// checkCopies says how good the copies of a vault are.
func (n *Node) checkCopies(tx *index.Tx, f *folderRun, vault [32]byte, c *control.Check) error {
	spoiled, err := tx.SpoiledCopies(maxSpoiledShown)
	if err != nil {
		return err
	}
	count := 0
	for _, s := range spoiled {
		if s.Vault == vault {
			count++
		}
	}
	proofs, err := tx.LapseProofs()
	if err != nil {
		return err
	}
	for _, p := range proofs {
		if at := time.Unix(0, p.At); p.Device == vault && time.Since(at) < lapseKept {
			c.State = control.CheckWarn
			c.Message = fmt.Sprintf("%s: at %s it showed less than it had acknowledged. The evidence is kept.", f.name(), at.UTC().Format(time.RFC3339))
			c.Fix = "If nobody had restored or reset it, do not rely on it."
			return nil
		}
	}
	if count > 0 {
		c.State = control.CheckWarn
		c.Message = fmt.Sprintf("%s: %d blocks of which it has no good copy, although it says that it has them.", f.name(), count)
		c.Fix = "It was told, and is asked again now and then. If it goes on, somebody gives it garbage, or its disk fails: shoal vault scrub there."
		return nil
	}
	good, err := tx.Proved(vault)
	switch owed := behind(tx, vault); {
	case err != nil:
		return err
	case owed != nil:
		c.Message = f.name() + ": it " + owed.Message + "."
	case good:
		c.Message = f.name() + ": it has every block, and that is proved."
	default:
		c.Message = f.name() + ": it says that it has every block. Not all of that is proved yet."
	}
	return nil
}
