package index

import (
	"fmt"

	"github.com/shoalmesh/shoal"
)

// ApplyCuts is to be called after each change of roster or keys, and once after opening. It removes the records that the roster voids: those of a
// revoked device above the seq where its journal is cut. If they had taken the place of records below the cut, those are
// fetched again: the journal counts for nothing until a transfer by buckets completes it, what is left of it is shown meanwhile,
// and the paths that wait stay as they are. It also tries again the records that were set aside for want of a key, and names
// conflict copies again. A roster that does not even know this device and folder is not whole, and voids nothing.
func (tx *Tx) ApplyCuts() (Accepted, error) {
	var out Accepted
	err := tx.change(func() (err error) {
		out, err = tx.applyCuts()
		return err
	})
	return out, err
}

func (tx *Tx) applyCuts() (Accepted, error) {
	if err := tx.requireMember(); err != nil {
		return Accepted{}, err
	}
	t, err := tx.journalTable()
	if err != nil {
		return Accepted{}, err
	}
	var out Accepted
	roster, self := tx.config.Roster(), tx.config.Identity.Device()
	_, knowsSelf := roster.Device(self)
	_, knowsFolder := roster.Folder(tx.folder.id)
	whole := roster.Mesh() == tx.config.Mesh && knowsSelf && knowsFolder
	for _, j := range t.list {
		seq, _, cut := roster.Cut(tx.folder.id, j.id)
		if !whole || !cut || j.id.Device == self {
			continue
		}
		if err := tx.cutJournal(j, seq, &out); err != nil {
			return Accepted{}, err
		}
	}
	if err := tx.retry(&out); err != nil {
		return Accepted{}, err
	}
	if err := tx.doubtOthers(); err != nil {
		return Accepted{}, err
	}
	return out, tx.renameCopies(&out)
}

// add joins what several steps changed.
func (a *Accepted) add(b Accepted) {
	a.Done = a.Done || b.Done
	a.Problems = append(a.Problems, b.Problems...)
	if a.More = a.More || b.More || len(a.Paths)+len(b.Paths) > MaxAcceptedPaths; !a.More {
		a.Paths = append(a.Paths, b.Paths...)
	}
}

// cutJournal removes what a journal has above a seq, if it has anything.
func (tx *Tx) cutJournal(j *journal, seq shoal.Seq, out *Accepted) error {
	s, err := tx.loadStage(j)
	if err != nil {
		return err
	}
	if j.seq <= seq && (s == nil || s.head.Seq <= seq) {
		return nil
	}
	f := &finisher{receiver: tx.newReceiver(j, seq)}
	if j.seq <= seq { // only the transfer reaches too far
		if err := f.dropStage(); err != nil {
			return err
		}
	} else if err := f.cut(seq); err != nil {
		return err
	}
	tx.putJournal(j)
	done, err := f.accepted(false)
	done.Paths, done.More = append(f.paths, done.Paths...), done.More || f.more
	out.add(done)
	return err
}

// cut makes what is left of a journal the beginning of a transfer.
func (f *finisher) cut(seq shoal.Seq) error {
	tx, j := f.tx, f.journal
	f.clearStage()
	tx.forgetProofs(j)
	var gone []shoal.Seq
	for _, k := range tx.keysOf(bRecords, j) {
		if recordKeySeq(k) > seq {
			gone = append(gone, recordKeySeq(k))
		}
	}
	for _, at := range gone {
		if err := f.void(ref{j.number, at}, seq); err != nil {
			return err
		}
	}
	j.seq, j.count, j.head, j.headTime, j.headHash = 0, 0, nil, 0, [32]byte{}
	for _, k := range tx.keysOf(bDigests, j) {
		n := bucketKeyN(k)
		if digest, live := tx.digestBucket(j.number, n, maxSeq); live > 0 {
			tx.bucket(bStage).Put(k, digest[:])
		}
		tx.bucket(bDigests).Delete(k)
	}
	return nil
}

// void removes a record. Where it had taken the place of one below the cut, its path waits for that.
func (f *finisher) void(at ref, cut shoal.Seq) error {
	old, err := f.live(at)
	if err != nil {
		return err
	}
	h := hold{at.journal, old.slot}
	if err := f.release(h); err != nil {
		return err
	}
	if old.rec == nil && old.path == "" && !f.tx.keeping() {
		if err := f.tx.countUnknown(-1); err != nil {
			return err
		}
	}
	if err := f.remove(at); err != nil {
		return err
	}
	if old.rec != nil {
		if err := f.rebase(old.path, cut); err != nil {
			return err
		}
	}
	if shoal.Seq(old.slot) <= cut && old.path != "" {
		why := fmt.Sprintf("waiting for what a record that does not count any more had replaced (record %s)", f.journal.dot(at.seq))
		if err := f.hold(h, old.path, why); err != nil {
			return err
		}
	}
	return f.pause()
}

// retry opens again what was set aside for want of a key.
func (tx *Tx) retry(out *Accepted) error {
	t, err := tx.journalTable()
	if err != nil {
		return err
	}
	for _, j := range t.list {
		keys := tx.keysOf(bRetries, j)
		if len(keys) == 0 {
			continue
		}
		f := &finisher{receiver: tx.newReceiver(j, maxSeq)}
		for _, k := range keys {
			if err := f.retry(ref{j.number, recordKeySeq(k)}); err != nil {
				return err
			}
		}
		done, err := f.accepted(false)
		if err != nil {
			return err
		}
		done.Paths, done.More = append(f.paths, done.Paths...), done.More || f.more
		out.add(done)
	}
	return nil
}

// retry opens one record again; if that works it takes its place.
func (f *finisher) retry(at ref) error {
	tx := f.tx
	s, err := tx.load(at)
	if err != nil || s == nil || s.raw == nil {
		return err
	}
	in, err := f.read(s.raw)
	if err != nil {
		return err
	}
	if in.s.retry { // still no key
		return nil
	}
	key := recordKey(at.journal, at.seq)
	if s.path == "" {
		if err := tx.countUnknown(-1); err != nil {
			return err
		}
	}
	tx.bucket(bRetries).Delete(key)
	h := hold{at.journal, in.clear.slot}
	if in.rec == nil {
		if s.path != "" {
			in.s.path = s.path
		}
		tx.putRecord(at, in.s)
		return f.hold(h, in.s.path, fmt.Sprintf("record %s: %s", f.journal.dot(at.seq), in.s.reason))
	}
	if err := f.release(h); err != nil {
		return err
	}
	tx.putRecord(at, in.s)
	if err := f.rows.attach(at, in.rec); err != nil {
		return err
	}
	return f.pause()
}

// renameCopies gives conflict copies their names again: the roster may know the names of more devices now.
func (tx *Tx) renameCopies(out *Accepted) error {
	for after := shoal.Path(""); ; {
		paths := tx.pathsAfter(bConflicts, after, chunk)
		if len(paths) == 0 {
			return nil
		}
		after = paths[len(paths)-1]
		u := tx.newRowUpdate()
		for _, p := range paths {
			if err := u.again(p); err != nil {
				return err
			}
		}
		touched, err := u.finish()
		if err != nil {
			return err
		}
		out.add(Accepted{Paths: touched})
	}
}
