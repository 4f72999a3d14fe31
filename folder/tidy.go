package folder

import (
	"fmt"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// Names in the temporary folder: what was taken from a name, links on their way to one; all others are contents being assembled (newJob).
const (
	asidePrefix = "aside-"
	linkPrefix  = "link-"
	probePrefix = "probe-"
)

// Untidy tells whether there may be something for Tidy to do, once nothing is on its way any more.
func (e *Engine) Untidy() bool { return e.untidy || len(e.jobs) > 0 }

// Tidy lets go of contents in the temporary folder that nobody wants any more and of what crashes left. What was once under a name goes to history.
func (e *Engine) Tidy() error {
	if err := e.dropUnwanted(); err != nil {
		return err
	}
	e.untidy = false
	list, err := e.FS.List(tmpDir)
	if err != nil || len(list) == 0 {
		return err
	}
	wanted, err := e.wantedTemps()
	if err != nil {
		return err
	}
	for _, st := range list {
		p := tmpDir + "/" + st.Name
		switch {
		case strings.HasPrefix(st.Name, asidePrefix):
			err = e.toHistory(p, shoal.Path(st.Name), &index.Base{Kind: shoal.KindSymlink}) // whose it was is not known any more
		case !wanted[p]:
			err = e.FS.Remove(p)
		}
		if err != nil && !isNotExist(err) {
			return fmt.Errorf("tidy %s: %w", st.Name, err)
		}
	}
	return nil
}

// wantedTemps returns the names of temporary files that hold, or may hold soon, what this disk lacks.
func (e *Engine) wantedTemps() (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, j := range e.active.all() {
		wanted[j.temp] = true
	}
	err := e.Index.View(func(tx *index.Tx) error {
		for after := shoal.Path(""); ; {
			paths, err := tx.Needs(after, planWindow)
			if err != nil {
				return err
			}
			for _, p := range paths {
				want, err := tx.Desired(p)
				if err != nil {
					return err
				}
				if want != nil && want.Kind == shoal.KindFile {
					wanted[e.tempOf(p, want)] = true
				}
			}
			if len(paths) < planWindow {
				return nil
			}
			after = paths[len(paths)-1]
		}
	})
	return wanted, err
}
