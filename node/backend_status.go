package node

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
)

// backend is what the control server asks.
func (n *Node) backend() control.Backend {
	return control.Backend{Daemon: n, Folders: n, Upkeep: n, Devices: n, Pairing: n, Conflicts: n, Events: eventSource{n}, Health: n}
}

// eventSource answers what happened.
type eventSource struct{ n *Node }

func (s eventSource) LastEvent() uint64 { return s.n.events.LastEvent() }

func (s eventSource) WatchEvents(ctx context.Context, since uint64, emit func(control.Event) error) error {
	return s.n.events.WatchEvents(ctx, since, emit)
}

func (s eventSource) Log(ctx context.Context, at *control.Location, limit int) ([]control.Event, error) {
	if at == nil {
		return s.n.events.Find("", "", limit), nil
	}
	name := ""
	if info, ok := s.n.roster.State().Folder(at.Folder); ok {
		name = info.Name
	}
	return s.n.events.Find(name, string(at.Path), limit), nil
}

// Stop implements control.Daemon.
func (n *Node) Stop(ctx context.Context) error {
	n.stop()
	return nil
}

// Status implements control.Daemon.
func (n *Node) Status(ctx context.Context) (control.Status, error) {
	state := n.roster.State()
	me, _ := state.Device(n.self())
	s := control.Status{
		Device:    control.Self{ID: n.self().String(), Name: me.Name, Role: me.Role.String()},
		Addresses: n.host.Addrs(), Folders: []control.FolderStatus{}, Devices: []control.DeviceStatus{}, Problems: []control.Problem{},
	}
	s.Transfer.InBytesPerS, s.Transfer.OutBytesPerS = n.traffic.rates(n.host.Traffic, time.Now())
	for _, f := range n.runsNow() {
		if _, err := n.settleProofs(ctx, f); err != nil {
			return s, err
		}
		fs, problems, err := n.folderStatus(f)
		if err != nil {
			return s, err
		}
		s.Folders = append(s.Folders, fs)
		s.Problems = append(s.Problems, problems...)
	}
	slices.SortFunc(s.Folders, func(a, b control.FolderStatus) int { return strings.Compare(a.Name, b.Name) })
	heard := n.heard(time.Now())
	for _, d := range n.others() {
		s.Devices = append(s.Devices, n.deviceStatus(d, heard[d.ID]))
	}
	slices.SortFunc(s.Devices, func(a, b control.DeviceStatus) int { return strings.Compare(a.Name, b.Name) })
	if me.Revoked {
		s.Problems = append(s.Problems, control.Problem{Kind: "revoked", Message: "This device was revoked. Its files stay; nothing is exchanged with the others any more.", Since: time.Now()})
	}
	s.Problems = append(s.Problems, n.unreached()...)
	s.Problems = append(s.Problems, n.vaults.problems(n)...)
	for _, p := range state.Problems() {
		s.Problems = append(s.Problems, control.Problem{Kind: "roster", Message: p.Reason, Since: time.Now()})
	}
	return s, nil
}

func (n *Node) folderStatus(f *folderRun) (control.FolderStatus, []control.Problem, error) {
	snap := f.snapshot()
	fs := control.FolderStatus{
		Name: f.name(), ID: f.id.String(), Path: control.Path(f.path), Frontier: map[string]shoal.Seq{},
	}
	if snap.Err != nil {
		fs.Error = snap.Err.Error()
	}
	var problems []control.Problem
	for _, p := range snap.Problems {
		problems = append(problems, control.Problem{Folder: fs.Name, Path: control.Path(p.Path), Kind: p.Kind, Message: p.Message, Since: p.Since})
	}
	// Before the index is looked at: what comes between the two is lacking there then. The other way round it would be lacking nowhere.
	lacks := n.exchange.Lacks(f.id)
	err := f.index.View(func(tx *index.Tx) error {
		fs.Files, fs.Bytes = tx.Totals()
		fs.NeedFiles, fs.NeedBytes = tx.NeedTotals()
		fs.Conflicts = tx.ConflictCount()
		for j, pos := range tx.Frontier() {
			fs.Frontier[j.String()] = pos.Seq
		}
		var err error
		if fs.State, err = stateNow(tx, snap); err != nil {
			return err
		}
		if fs.State == control.StateIdle && lacks {
			fs.State = control.StateSyncing
		}
		if fs.CopiesMin, fs.CopiesClaimed, err = n.copies(tx, fs.NeedFiles == 0); err != nil {
			return err
		}
		problems = append(problems, n.vaultTroubles(tx, fs.Name)...)
		spoiled, err := n.spoiledCopies(tx, fs.Name)
		if err != nil {
			return err
		}
		problems = append(problems, spoiled...)
		stored, err := tx.Problems()
		for _, p := range stored {
			problems = append(problems, control.Problem{Folder: fs.Name, Path: control.Path(p.Path), Kind: p.Kind, Message: p.Message, Since: time.Unix(0, p.Since)})
		}
		return err
	})
	return fs, problems, err
}

// vaultTroubles lists the vaults that take in nothing more of a folder, by their own word.
func (n *Node) vaultTroubles(tx *index.Tx, folder string) (out []control.Problem) {
	for _, d := range n.others() {
		if d.Role != mesh.RoleVault {
			continue
		}
		st, ok, err := tx.Status(d.ID)
		if err != nil || !ok || st.Trouble == index.TroubleNone {
			continue
		}
		kind, why := "vault", "for a reason that this version does not know"
		switch st.Trouble {
		case index.TroubleQuota:
			kind, why = "quota", "its quota is used up. Raise it there with `shoal vault quota`, or delete what is not needed"
		case index.TroubleDisk:
			kind, why = "disk", "its disk is full or failing"
		}
		out = append(out, control.Problem{Folder: folder, Kind: kind, Message: "The vault " + d.Name + " takes in nothing more: " + why + ".", Since: time.Now()})
	}
	return out
}

// stateNow is what a folder said of itself last, unless news came that it has not looked at yet.
func stateNow(tx *index.Tx, snap *folder.Snapshot) (control.FolderState, error) {
	state := control.FolderState(snap.State)
	if state != control.StateIdle {
		return state, nil
	}
	owes, err := folder.Owes(tx, snap.Excused)
	if err != nil || owes {
		return control.StateSyncing, err
	}
	return state, nil
}

// behind says what a device lacks of what this one has; nil when it reported everything applied.
func behind(tx *index.Tx, dev shoal.DeviceID) *control.Owed {
	st, ok, err := tx.Status(dev)
	if err != nil || !ok {
		return &control.Owed{Message: "has not reported yet"}
	}
	mine := tx.Frontier()
	for j, pos := range mine {
		if st.Applied[j] < pos.Seq {
			return &control.Owed{NeedFiles: st.Owed, NeedBytes: st.OwedBytes, Message: "has not applied the newest changes yet"}
		}
	}
	for j, seq := range st.Applied {
		if mine[j].Seq < seq {
			return &control.Owed{Message: "has changes that are not here yet"}
		}
	}
	if !st.Complete {
		return &control.Owed{NeedFiles: st.Owed, NeedBytes: st.OwedBytes, Message: "still lacks files"}
	}
	for _, e := range st.Exceptions {
		if e.Reason == index.ReasonOwed {
			return &control.Owed{NeedFiles: st.Owed, NeedBytes: st.OwedBytes, Message: "still lacks " + string(e.Path)}
		}
	}
	return nil
}

// trafficMeter turns counters into rates. The zero value works; it is safe for concurrent use.
type trafficMeter struct {
	mu   sync.Mutex
	past []trafficPoint // guarded by mu; at most trafficPoints, oldest first
}

type trafficPoint struct {
	at      time.Time
	in, out int64
}

// Rates are averaged over up to this long, and at most so many looks are remembered.
const (
	trafficSpan   = 5 * time.Second
	trafficPoints = 64
)

func (m *trafficMeter) rates(read func() (in, out int64), now time.Time) (in, out int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, o := read()
	m.past = append(m.past, trafficPoint{now, i, o})
	for len(m.past) > 2 && (now.Sub(m.past[1].at) > trafficSpan || len(m.past) > trafficPoints) {
		m.past = m.past[1:]
	}
	first := m.past[0]
	span := now.Sub(first.at).Seconds()
	if span < 0.01 {
		return 0, 0
	}
	return int64(float64(i-first.in) / span), int64(float64(o-first.out) / span)
}
