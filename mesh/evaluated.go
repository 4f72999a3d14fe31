package mesh

import (
	"slices"
	"time"

	"github.com/shoalmesh/shoal"
)

// State returns what the set says. It is a function of the set alone (and, for names, of what OpenNames can open): the order of
// arrival does not matter. It costs one evaluation after each growth and nothing otherwise.
func (r *Roster) State() *State {
	if r.state == nil {
		r.state = r.buildState()
	}
	return r.state
}

// OpenNames lets the states of this roster show the names of devices and folders, as far as id has the keys. nil shuts them again.
func (r *Roster) OpenNames(id *Identity) {
	r.names, r.state = id, nil
}

// evaluation returns the verdicts on the whole set.
func (r *Roster) evaluation() *evaluation {
	if r.verdict == nil {
		r.verdict = r.evaluate(nil)
	}
	return r.verdict
}

func (r *Roster) buildState() *State {
	b := &stateBuilder{
		evaluation: r.evaluation(), names: r.nameOpener(), renamed: map[string]*node{},
		state: &State{
			mesh: r.mesh, deviceAt: map[shoal.DeviceID]int{}, folderAt: map[shoal.FolderID]int{},
			cuts: map[shoal.JournalID]Cut{}, records: map[shoal.DeviceID]bool{},
		},
	}
	b.judgeAll()
	b.addDevices()
	b.addFolders()
	return b.state
}

// stateBuilder makes one State out of the verdicts.
type stateBuilder struct {
	*evaluation
	names   nameOpener
	state   *State
	folders []*node          // folder statements that count
	renamed map[string]*node // last Rename that counts, by the bytes of its subject
}

func (b *stateBuilder) judgeAll() {
	for _, n := range b.r.nodes {
		if v := b.judge(n); v != counts {
			b.state.problems = append(b.state.problems, Problem{
				Statement: n.hash, Signer: n.signer, Kind: n.kind.String(), Reason: reasonTexts[v],
			})
			continue
		}
		switch p := n.payload.(type) {
		case newFolder:
			b.folders = append(b.folders, n)
		case rename:
			if last := b.renamed[p.subject()]; last == nil || compareNodes(n, last) > 0 {
				b.renamed[p.subject()] = n
			}
		}
	}
}

func (b *stateBuilder) addDevices() {
	var admissions []*node
	for d := range b.r.about {
		if a := b.admission(d); a != nil {
			admissions = append(admissions, a)
		}
	}
	slices.SortFunc(admissions, compareNodes)
	taken := uniqueNames{}
	for _, a := range admissions {
		b.addDevice(a, taken)
	}
}

func (b *stateBuilder) addDevice(admission *node, taken uniqueNames) {
	a := admission.payload.(admit)
	role, _ := b.roleOf(a.device, always)
	d := Device{
		ID: a.device, Role: role, Revoked: b.revoked(a.device), HPKE: a.hpke,
		AdmittedBy: admission.signer, AdmittedAt: time.Unix(0, admission.time).UTC(),
	}
	d.AdmittedAs = b.names.open(a.name, a.device[:], "device-"+a.device.Short())
	d.Name = d.AdmittedAs
	if n := b.renamed[string(a.device[:])]; n != nil {
		d.Name = b.names.open(n.payload.(rename).name, a.device[:], d.Name)
	}
	d.Name = taken.take(d.Name)
	b.state.deviceAt[d.ID] = len(b.state.devices)
	b.state.devices = append(b.state.devices, d)
	if role.Writes() && !d.Revoked {
		b.state.records[d.ID] = true
	} else {
		b.addCuts(d.ID)
	}
}

// addCuts works out how much of a device's journals counts, when it may not write any more. Every statement that took the
// right away has its say: a journal counts up to the lowest cut, and not at all if one of them does not name it. A role
// statement that a later one replaced has none.
func (b *stateBuilder) addCuts(d shoal.DeviceID) {
	var lowest map[uint64]Cut
	for _, n := range b.takersOfWriting(d) {
		own := b.cutsOf(n)
		if lowest == nil {
			lowest = own
			continue
		}
		for nonce, c := range lowest {
			if o, ok := own[nonce]; ok {
				lowest[nonce] = lowerCut(c, o)
			} else {
				delete(lowest, nonce)
			}
		}
	}
	for nonce, c := range lowest {
		b.state.cuts[shoal.JournalID{Device: d, Nonce: nonce}] = c
	}
}

func (b *stateBuilder) takersOfWriting(d shoal.DeviceID) []*node {
	var out []*node
	for _, g := range b.lastGrants(d, always) {
		if !g.gives.Writes() {
			out = append(out, g)
		}
	}
	for _, g := range b.r.about[d] {
		if g.kind == kindRevoke && b.counts(g) {
			out = append(out, g)
		}
	}
	return out
}

func (b *stateBuilder) cutsOf(n *node) map[uint64]Cut {
	out := map[uint64]Cut{}
	t, _ := takingOf(n.payload)
	for _, h := range t.cutLists {
		for _, c := range b.r.byHash[h].payload.(cutList).cuts {
			if o, ok := out[c.nonce]; ok {
				out[c.nonce] = lowerCut(o, c.Cut)
			} else {
				out[c.nonce] = c.Cut
			}
		}
	}
	return out
}

// lowerCut returns the cut that leaves less; of two heads for one seq the lower hash, so that all devices agree.
func lowerCut(a, b Cut) Cut {
	if a.Seq < b.Seq || a.Seq == b.Seq && compareHash(a.Head, b.Head) < 0 {
		return a
	}
	return b
}

func (b *stateBuilder) addFolders() {
	slices.SortFunc(b.folders, compareNodes)
	taken := uniqueNames{}
	for _, n := range b.folders {
		p := n.payload.(newFolder)
		f := Folder{ID: folderIDOf(n.hash)}
		f.Name = b.names.open(p.name, p.lifeCommitment[:], "folder-"+f.ID.String()[:6])
		if re := b.renamed[string(f.ID[:])]; re != nil {
			f.Name = b.names.open(re.payload.(rename).name, f.ID[:], f.Name)
		}
		f.Name = taken.take(f.Name)
		b.state.folderAt[f.ID] = len(b.state.folders)
		b.state.folders = append(b.state.folders, f)
	}
}

// nameOpener opens sealed names with the roots of the mesh's own epochs.
type nameOpener struct {
	mesh  shoal.MeshID
	roots map[shoal.EpochID]epochRoot
}

func (r *Roster) nameOpener() nameOpener {
	o := nameOpener{mesh: r.mesh}
	if r.names != nil {
		o.roots = r.ring(r.names, meshScope).roots
	}
	return o
}

// open returns the name, or instead when it cannot be opened.
func (o nameOpener) open(n sealedName, subject []byte, instead string) string {
	root, ok := o.roots[n.epoch]
	if !ok {
		return instead
	}
	name, err := openName(o.mesh, root, subject, n)
	if err != nil {
		return instead
	}
	return name
}
