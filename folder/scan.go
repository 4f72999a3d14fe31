package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/ignore"
	"github.com/shoalmesh/shoal/index"
)

func isNotExist(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrNotFolder)
}

func isExist(err error) bool { return errors.Is(err, fs.ErrExist) }

// commitSize is the greatest number of changes recorded in one commit.
const commitSize = 1000

// scanBatch is how many new things a scan gathers before it records them. A rename is seen as one when both of its ends fall
// into one batch; otherwise it is a new file and a deletion, and still moves no content.
const scanBatch = 4 * commitSize

// ScanAll looks at the whole folder.
func (e *Engine) ScanAll(ctx context.Context) error {
	if err := e.scan(ctx, nil, []shoal.Path{""}); err != nil {
		return err
	}
	e.adopting = e.adopting && e.joining
	return nil
}

// Scan looks, in one walk, at what is directly in dirs, at everything in folders that are new where they are, and at what was to be looked at
// again by now. The two ends of a rename are seen as one when they fall into one call.
//
// Errors: ErrRootGone; ErrWaitJournal when there is something to record and the journal is not settled (call again later); the
// index's own. What can't be read is reported as a problem and is no error. After an error the next call looks at all of it.
func (e *Engine) Scan(ctx context.Context, dirs ...shoal.Path) error {
	again, trees := e.takeDirty()
	dirs = append(slices.Clip(dirs), again...)
	err := e.scan(ctx, dirs, trees)
	if err != nil {
		for _, d := range dirs {
			e.markDirty(d)
		}
		for _, t := range trees {
			e.markChanged(t, true)
		}
	}
	return err
}

// scan is one walk. gone and news are in the order in which they were met.
type scan struct {
	e      *Engine
	trees  map[shoal.Path]bool // where everything below is looked at
	queue  []shoal.Path
	queued map[shoal.Path]bool
	gone   []*sight
	news   []*sight // fresh, edited and replaced
}

func (e *Engine) scan(ctx context.Context, dirs, trees []shoal.Path) error {
	if err := e.checkRoot(); err != nil {
		return err
	}
	e.loadIgnore()
	s := &scan{e: e, trees: map[shoal.Path]bool{}, queued: map[shoal.Path]bool{}}
	for _, t := range trees {
		s.trees[t] = true
	}
	first := slices.Concat(dirs, trees)
	slices.SortFunc(first, shoal.ComparePaths)
	s.push(first)
	r := recorder{e: e}
	defer r.stop()
	for len(s.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]
		if err := s.list(ctx, dir); err != nil {
			return err
		}
		if len(s.news) >= scanBatch {
			if err := r.take(ctx, s.takeNews()); err != nil {
				return err
			}
		}
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	s.settleGone()
	if err := e.checkRoot(); err != nil { // a root that vanished under the walk proves no absence
		return err
	}
	return e.record(ctx, s.news, s.gone, s.trees[""])
}

func (s *scan) inTree(p shoal.Path) bool {
	for !s.trees[p] {
		if p == "" {
			return false
		}
		p = p.Parent()
	}
	return true
}

// push adds dirs so that they are taken in tree order.
func (s *scan) push(dirs []shoal.Path) {
	for _, d := range slices.Backward(dirs) {
		if !s.queued[d] {
			s.queued[d] = true
			s.queue = append(s.queue, d)
		}
	}
}

// takeNews hands over what is new so far, but keeps what may be the other end of a rename that is already half seen.
func (s *scan) takeNews() []*sight {
	matchRenames(s.gone, s.news)
	var now, later []*sight
	for _, n := range s.news {
		if n.from != "" {
			later = append(later, n)
		} else {
			now = append(now, n)
		}
	}
	s.news = later
	return now
}

// list compares one folder with its base. A folder that can't be listed completely proves nothing and is reported.
func (s *scan) list(ctx context.Context, dir shoal.Path) error {
	e := s.e
	if dir != "" && e.isIgnored(dir, true) {
		return nil
	}
	stats, err := e.FS.List(string(dir))
	switch {
	case isNotExist(err) && dir == "":
		return ErrRootGone
	case isNotExist(err):
		s.push([]shoal.Path{dir.Parent()})
		return nil
	case err != nil:
		if st, serr := e.FS.Lstat(string(dir)); dir != "" && serr == nil && st.Kind != shoal.KindFolder {
			s.push([]shoal.Path{dir.Parent()}) // no folder any more
			return nil
		}
		e.report(dir, "unreadable", fmt.Sprintf("the folder %s can't be listed: %v. Nothing in it counts as deleted.", name(dir), err))
		return nil
	}
	e.settled(dir, "unreadable")
	return e.Index.View(func(tx *index.Tx) error {
		bases := map[string]*index.Base{}
		for n, b := range tx.BasesIn(dir) {
			bases[n] = b
		}
		var descend []shoal.Path
		for _, st := range stats {
			b := bases[st.Name]
			delete(bases, st.Name)
			if s.meet(dir.Join(st.Name), st, b) {
				descend = append(descend, dir.Join(st.Name))
			}
			if st.Kind != shoal.KindFolder && b != nil && b.Kind == shoal.KindFolder {
				if err := s.loseInside(tx, dir.Join(st.Name)); err != nil {
					return err
				}
			}
		}
		s.push(descend)
		return s.lose(tx, dir, bases, stats)
	})
}

// settleGone drops what was said of things that are not there any more. What goes away does so in a folder that is looked at.
func (s *scan) settleGone() {
	e := s.e
	for k := range e.problems {
		switch k.kind {
		case "unreadable", "unsupported", "mount":
			if s.lookedAbove(k.path) {
				if _, err := e.FS.Lstat(string(k.path)); isNotExist(err) {
					delete(e.problems, k)
				}
			}
		}
	}
}

func (s *scan) lookedAbove(p shoal.Path) bool {
	for p != "" {
		if p = p.Parent(); s.queued[p] {
			return true
		}
	}
	return false
}

func name(dir shoal.Path) string {
	if dir == "" {
		return "at the root"
	}
	return string(dir)
}

// meet notes what differs at one listed path and tells whether to go into it.
func (s *scan) meet(p shoal.Path, st disk.Stat, b *index.Base) (descend bool) {
	e := s.e
	switch {
	case e.isIgnored(p, st.Kind == shoal.KindFolder):
		return false
	case p.Parent() == "" && e.foldsCase && (st.Same(e.metaDir) || strings.EqualFold(st.Name, metaDir)):
		return false // our own folder, spelled otherwise by somebody
	case st.Kind == 0:
		e.report(p, "unsupported", fmt.Sprintf("%s is neither file, folder nor symlink; it stays on this device only.", p))
		return false
	case p.Validate() != nil:
		e.report(p, "unsupported", fmt.Sprintf("%q can't be synced: %v", string(p), p.Validate()))
		return false
	case st.Kind == shoal.KindFolder && st.Device != e.rootDevice:
		e.report(p, "mount", fmt.Sprintf("another file system is mounted at %s; what is in it is not synced.", p))
		return false
	}
	d := compare(st, b)
	if d != unchanged {
		s.news = append(s.news, &sight{path: p, stat: st, base: b})
	}
	if st.Kind != shoal.KindFolder {
		if d == unchanged {
			e.settled(p, "unreadable") // there is nothing in it that would have to be read
		}
		return false
	}
	e.settled(p, "mount")
	return s.inTree(p) || d == fresh || d == replaced || st.Inode != b.Stat.Inode
}

// lose notes what the base has directly in dir and a complete listing has not, with everything inside it.
func (s *scan) lose(tx *index.Tx, dir shoal.Path, left map[string]*index.Base, listed []disk.Stat) error {
	names := make([]string, 0, len(left))
	for n := range left {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		p, b := dir.Join(n), left[n]
		if !onDisk(b) || s.e.isIgnored(p, b.Kind == shoal.KindFolder) {
			continue
		}
		// A listing is no snapshot: a name that was changed meanwhile may be left out of it. Only the name itself proves absence, unless the
		// disk finds by it what it has listed under another spelling.
		if _, err := s.e.FS.Lstat(string(p)); !isNotExist(err) {
			if _, respelled := s.e.otherSpelling(p, listed); !respelled {
				s.e.markDirty(dir)
				continue
			}
		}
		s.gone = append(s.gone, &sight{path: p, base: b})
		if b.Kind == shoal.KindFolder {
			if err := s.loseInside(tx, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *scan) loseInside(tx *index.Tx, dir shoal.Path) error {
	return tx.Walk(dir, func(r index.Row) error {
		if r.Path != dir && onDisk(r.Base) && !s.e.isIgnored(r.Path, r.Base.Kind == shoal.KindFolder) {
			s.gone = append(s.gone, &sight{path: r.Path, base: r.Base})
		}
		return nil
	})
}

// loadIgnore reads .shoalignore. A bad line is reported and skipped; a file that can't be read leaves the last rules in force.
func (e *Engine) loadIgnore() {
	data, err := readSmallFile(e.FS, IgnoreFile, maxIgnoreFile)
	if err != nil && !isNotExist(err) {
		e.report(IgnoreFile, "ignore", fmt.Sprintf("%s can't be read: %v. The rules read last stay in force.", IgnoreFile, err))
		return
	}
	m, bad := ignore.Parse(data)
	if len(bad) > 0 {
		e.report(IgnoreFile, "ignore", fmt.Sprintf("%s: %v. This line is left out, the others count.", IgnoreFile, bad[0]))
	} else {
		e.settled(IgnoreFile, "ignore")
	}
	e.ignored = m
}

// maxIgnoreFile bounds .shoalignore, in bytes.
const maxIgnoreFile = 1 << 20

func readSmallFile(fsys disk.FS, p string, limit int64) ([]byte, error) {
	f, err := fsys.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", p, st.Size, limit)
	}
	data := make([]byte, st.Size)
	n, err := f.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	}
	return data[:n], err
}

// isIgnored applies the rules to p and to the folders that it is in. Conflict copies are never ignored: they stand for content
// that exists nowhere else under that name.
func (e *Engine) isIgnored(p shoal.Path, isDir bool) bool {
	return e.ignored.Match(p, isDir)
}
