package keeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
	"github.com/shoalmesh/shoal/node/rosterfile"
	"github.com/shoalmesh/shoal/node/settings"
	"github.com/shoalmesh/shoal/node/welcome"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
)

// A vacancy is a vault that waits for a mesh: it has a device key and a network, and one ticket. Who proves the ticket's secret is its owner-to-be
// and may hand it a mesh; then it becomes a tenant.
//
//	waiting --secret proved--> claimed by one device --handover--> a tenant
//	waiting, claimed --ticket expired, or the process ends--> gone
type vacancy struct {
	place   place
	id      *mesh.Identity
	host    *p2p.Host
	name    string
	quota   int64         // bytes; 0: none
	minimum time.Duration // shortest retention
	expires time.Time

	mu    sync.Mutex
	owner shoal.DeviceID // guarded by mu; zero: nobody has proved the secret
	taken chan struct{}  // closed when the mesh was handed over
	once  sync.Once      // closes taken

	kept func(shoal.MeshID) bool // the process keeps that mesh already
}

// handoverWait bounds a handover, from its first byte to the last.
const handoverWait = 2 * time.Minute

// answerWait is how long the other side may take to read the answer.
const answerWait = 5 * time.Second

// InviteTenant implements control.VaultBackend.
func (p *process) InviteTenant(_ context.Context, spec control.TenantInvite) (control.Invite, error) {
	if err := p.severalMeshes(); err != nil {
		return control.Invite{}, err
	}
	if err := p.life.Err(); err != nil {
		return control.Invite{}, err
	}
	v, err := p.vacate(spec.Quota)
	if err != nil {
		return control.Invite{}, err
	}
	invite, err := v.host.NewInvite(mesh.RoleVault, spec.Expires, true)
	if err != nil {
		return control.Invite{}, errors.Join(err, p.leave(v))
	}
	v.expires = invite.Expires
	p.work.Go(func() {
		if err := p.await(v); err != nil {
			p.log.Error("a vault that waited for a mesh", "err", err)
		}
	})
	return control.Invite{Ticket: invite.Ticket, Expires: invite.Expires}, nil
}

// vacate makes a vacancy that does not run yet.
func (p *process) vacate(quota int64) (v *vacancy, err error) {
	name, err := randomName()
	if err != nil {
		return nil, err
	}
	v = &vacancy{name: p.cfg.Name, quota: quota, minimum: p.cfg.Minimum, kept: p.keeps, taken: make(chan struct{})}
	v.place.dir = filepath.Join(p.cfg.Data, tenantsFolder, vacantPrefix+name)
	if err := p.reserve(&v.place); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.vacancies = append(p.vacancies, v)
	p.mu.Unlock()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.leave(v))
		}
	}()
	if v.id, err = mesh.NewIdentity(rand.Reader); err != nil {
		return nil, err
	}
	if err := v.id.Save(v.place.file(keyFile)); err != nil {
		return nil, err
	}
	c := p2p.Config{
		Identity: v.id, Listen: listenAt(p.cfg.Listen, v.place.note.Slot), MDNS: !p.cfg.NoMDNS, PortMap: true, Log: p.log, Gate: v.knows,
	}
	if v.host, err = p2p.New(c); err != nil && c.Listen != nil {
		c.Listen = anyPort(c.Listen)
		v.host, err = p2p.New(c)
	}
	if err != nil {
		return nil, fmt.Errorf("start the network: %w", err)
	}
	v.host.SetMesh(p2p.Vacancy(v.id.Device()))
	v.host.SetAdmitter(v.admit)
	v.host.Handle(welcome.Protocol, v.takeOver)
	return v, nil
}

func randomName() (string, error) {
	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	return hex.EncodeToString(random), nil
}

// await runs a vacancy until it was taken, has expired, or the process ends.
func (p *process) await(v *vacancy) error {
	ctx, cancel := context.WithDeadline(p.life, v.expires)
	defer cancel()
	ended := make(chan error, 1)
	var network sync.WaitGroup
	network.Go(func() { ended <- v.host.Run(ctx) })
	var broken error
	select {
	case <-v.taken:
	case <-ctx.Done():
	case broken = <-ended:
	}
	addrs := v.host.Addrs()
	cancel()
	network.Wait()
	select {
	case <-v.taken:
	default:
		return errors.Join(broken, p.leave(v))
	}
	return p.settle(v, addrs)
}

// settle makes a tenant of a vacancy that was taken, at the very ports where it was.
func (p *process) settle(v *vacancy, addrs []string) error {
	if err := v.host.Close(); err != nil {
		p.log.Debug("close network", "err", err)
	}
	roster, err := rosterfile.Open(v.place.file(rosterFile), v.id, nil)
	if err != nil {
		return err
	}
	id := roster.State().Mesh()
	if err := roster.Close(); err != nil {
		return err
	}
	at := place{dir: filepath.Join(p.cfg.Data, tenantsFolder, shortName(id)), note: v.place.note}
	if err := os.Rename(v.place.dir, at.dir); err != nil {
		return err
	}
	p.strike(v)
	listen := p.cfg.Listen
	if listen == nil {
		listen = p2p.DefaultListen
	}
	s := p.start(at, "", pinned(listenAt(listen, at.note.Slot), addrs))
	<-s.opened
	p.events.Add(control.Event{Kind: control.EventAdmitted, Message: "Mesh " + shortName(id) + " is kept from now on: it came with a ticket of `shoal vault invite`."})
	return nil
}

// leave ends a vacancy that nobody took.
func (p *process) leave(v *vacancy) error {
	p.strike(v)
	var err error
	if v.host != nil {
		err = v.host.Close()
	}
	return errors.Join(err, os.RemoveAll(v.place.dir))
}

// strike takes a vacancy from the list.
func (p *process) strike(v *vacancy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.vacancies {
		if x == v {
			p.vacancies = append(p.vacancies[:i:i], p.vacancies[i+1:]...)
			return
		}
	}
}

// knows is the gate: the device that proved the secret, and nobody else.
func (v *vacancy) knows(dev shoal.DeviceID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.owner == dev && dev != (shoal.DeviceID{})
}

// admit lets a device that has proved the ticket's secret come with a mesh, and tells it what it needs to admit this vault.
func (v *vacancy) admit(_ context.Context, g p2p.Guest, _ bool) ([]byte, error) {
	if g.Via != p2p.ViaTicket { // nobody was told a code
		return nil, p2p.ErrNotAdmitted
	}
	v.mu.Lock()
	v.owner = g.Device
	v.mu.Unlock()
	return json.Marshal(welcome.Offer{Name: v.name, HPKE: v.id.HPKEPublic()})
}

// takeOver receives the mesh and makes it durable.
func (v *vacancy) takeOver(_ context.Context, from shoal.DeviceID, s p2p.Stream) {
	if !v.knows(from) || s.SetDeadline(time.Now().Add(handoverWait)) != nil {
		return
	}
	kept := false
	_ = welcome.Take(s, func(w welcome.Welcome, r *mesh.Roster) error {
		if err := welcome.ForVault(r, v.id.Device(), from); err != nil {
			return err
		}
		if v.kept(r.Mesh()) {
			return errors.New("it keeps this mesh already")
		}
		err := v.save(w, r)
		kept = err == nil
		return err
	})
	// Until the other side has closed, so that the answer, be it a refusal, is not cut off.
	_ = s.CloseWrite()
	_ = s.SetReadDeadline(time.Now().Add(answerWait))
	_, _ = s.Read(make([]byte, 1))
	_ = s.Close()
	if kept { // even if the answer got lost: the other side admitted this vault, and meets the tenant
		v.once.Do(func() { close(v.taken) })
	}
}

// save makes the folder one of a tenant. The roster comes last: it is what makes it one.
func (v *vacancy) save(w welcome.Welcome, r *mesh.Roster) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.place.there() { // the answer got lost, and it came again
		return nil
	}
	st, err := settings.Open(v.place.file(settingsFile))
	if err != nil {
		return errors.New("it could not save the mesh")
	}
	if err := st.Update(func(s *settings.Settings) { s.Name, s.Addresses = v.name, w.Addresses }); err != nil {
		return errors.New("it could not save the mesh")
	}
	if err := v.savePolicy(); err != nil {
		return errors.New("it could not save the mesh")
	}
	store, err := rosterfile.Open(v.place.file(rosterFile), v.id, nil)
	if err != nil {
		return errors.New("it could not save the mesh")
	}
	if err := errors.Join(store.Replace(r), store.Close()); err != nil {
		return errors.New("it could not save the mesh")
	}
	return nil
}

// savePolicy fixes the quota that the operator gave with the ticket.
func (v *vacancy) savePolicy() error {
	s, err := vault.NewSettings(nil, v.minimum, func(raw []byte) error { return durable.Replace(v.place.file(vaultFile), raw) })
	if err != nil {
		return err
	}
	return s.Update(func(st *vault.State) error { st.Quota = v.quota; return nil })
}
