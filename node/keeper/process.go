package keeper

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/eventlog"
	"github.com/shoalmesh/shoal/node/parts"
	"github.com/shoalmesh/shoal/node/sdnotify"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault/ledger"
)

// process is one running vault: the tenants that it keeps, each of which is shut off from the others, and one door for the operator.
type process struct {
	// set once
	cfg    Config
	log    *slog.Logger
	home   *control.Home
	events *eventlog.Log
	whole  *wholeQuota
	began  time.Time
	stop   context.CancelFunc

	life context.Context // of all tenants; set once by run
	work sync.WaitGroup  // of tenants and vacancies
	last chan error      // depth 1: the last tenant that ran has failed

	mu        sync.Mutex
	tenants   []*slot    // guarded by mu; in the order in which they came
	vacancies []*vacancy // guarded by mu
}

// slot is one tenant and its fate in this process.
type slot struct {
	place place

	opened chan struct{}      // closed when it runs, or has failed to
	ended  chan struct{}      // closed when it has given everything back
	stop   context.CancelFunc // ends it

	running atomic.Pointer[keeper] // nil: it does not run
	failed  atomic.Pointer[error]  // why it does not
	mesh    atomic.Pointer[shoal.MeshID]
	joined  atomic.Bool // this run joined the mesh
}

// Run runs a vault until ctx ends or it is told to stop: every tenant that its data folder holds, and the one whose ticket the Config has. A tenant
// that can't be opened or go on is reported, and the others run; when none is left that does, Run returns why. Errors that a person can do
// something about are *control.Error.
func Run(ctx context.Context, c Config) (err error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return control.Errorf(control.CodeUsage, "%w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &process{cfg: c, log: c.Log, stop: stop, began: time.Now(), last: make(chan error, 1)}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.home, err = control.OpenHome(c.Data); err != nil {
		return err
	}
	if err := checkFolder(&c); err != nil {
		return err
	}
	if p.events, err = eventlog.Open(c.file(eventsFile), time.Now); err != nil {
		return err
	}
	if p.whole, err = openWholeQuota(c.file(wholeFile), p.used); err != nil {
		return err
	}
	return p.run(ctx)
}

// run opens the tenants, then answers the operator, and waits for the end.
func (p *process) run(ctx context.Context) error {
	places, err := findPlaces(p.cfg.Data)
	if err != nil {
		return err
	}
	join := p.cfg.Join
	switch {
	case p.cfg.Bucket != "" && join != "" && len(places) > 0:
		return control.Errorf(control.CodeUsage, "this folder belongs to a vault of the bucket already: start it without --join, or give another folder with --data")
	case p.cfg.Bucket != "": // the one mesh of a bucket, also when the folder is empty
		places = []place{{dir: p.cfg.Data, root: true}}
	case join != "" && len(places) > 0:
		return control.Errorf(control.CodeUsage, "this vault keeps a mesh already: start it without --join, then use `shoal vault tenants add TICKET`")
	case join != "":
		places = []place{{dir: p.cfg.Data, root: true}}
	}
	var watched net.Listener
	if p.cfg.Metrics != "" {
		if watched, err = listenMetrics(p.cfg.Metrics); err != nil {
			return err
		}
		defer watched.Close()
	}
	tenants, end := context.WithCancel(ctx)
	p.life = tenants
	defer p.work.Wait()
	defer end()
	for _, at := range places {
		p.start(at, join, nil)
	}
	if err := p.awaitOpen(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	listener, err := p.home.Listen()
	if err != nil {
		return err
	}
	server, err := control.NewVaultServer(p, eventSource{p.events}, p, p.log)
	if err != nil {
		return err
	}
	g := parts.New(ctx)
	if watched != nil {
		g.Run("metrics", func(ctx context.Context) error { return p.serveMetrics(ctx, watched) })
	}
	g.Run("tenants", p.watch)
	g.Run("service manager", p.tellManager)
	if !p.cfg.NoDHT {
		g.Run("entries", p.tellEntries)
	}
	g.Run("control", func(ctx context.Context) error { return server.Serve(ctx, listener) })
	p.events.Add(control.Event{Kind: control.EventStarted, Message: "The vault runs."})
	p.cfg.Ready(p.started())
	return g.Wait()
}

// tellManager tells systemd, if that started this process, that it runs, that it is alive, and that it ends.
func (p *process) tellManager(ctx context.Context) error {
	tell := func(state string) {
		if err := sdnotify.Tell(state); err != nil {
			p.log.Warn("the service manager does not listen", "err", err)
		}
	}
	tell(sdnotify.Ready)
	defer tell(sdnotify.Stopping)
	err := sdnotify.Watchdog(ctx, func() bool { p.all(); return true })
	<-ctx.Done()
	return err
}

// entryWait is how long the hash table may take to be served before nobody waits for its address any more.
const entryWait = 10 * time.Second

// tellEntries says where the hash table can be entered, as soon as every tenant serves it.
func (p *process) tellEntries(ctx context.Context) error {
	late := time.After(entryWait)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			return nil
		case <-late:
			over = true
		case <-tick.C:
			over = true
			for _, s := range p.all() {
				k := s.running.Load()
				over = over && (k == nil || len(k.host.DHTEntry()) > 0)
			}
		}
	}
	for _, s := range p.all() {
		if k := s.running.Load(); k != nil && len(k.host.DHTEntry()) > 0 {
			p.cfg.Progress("Devices enter the hash table with: --bootstrap " + k.host.DHTEntry()[0])
		}
	}
	return nil
}

// awaitOpen waits until every tenant runs or has failed to. Without one that runs there is nothing to go on for, unless there are none at all.
func (p *process) awaitOpen(ctx context.Context) error {
	var errs []error
	all := p.all()
	for _, s := range all {
		select {
		case <-s.opened:
		case <-ctx.Done():
			return nil
		}
		if err := s.failed.Load(); err != nil {
			errs = append(errs, *err)
		}
	}
	if len(errs) > 0 && !slices.ContainsFunc(all, func(s *slot) bool { return s.running.Load() != nil }) {
		return errors.Join(errs...)
	}
	return nil
}

// watch ends the process when the last tenant that ran has failed.
func (p *process) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.last:
		return err
	}
}

// severalMeshes refuses to bring or remove a mesh where there is one for good.
func (p *process) severalMeshes() error {
	if p.cfg.Bucket == "" {
		return nil
	}
	return control.Errorf(control.CodeRefused, "a vault in a bucket keeps one mesh: run another vault for another mesh, with --s3 and a prefix of its own")
}

// start runs the tenant that lives in a place, until it ends or the process does. join is the ticket of a new one; listen are addresses that
// override the vault's, nil: none.
func (p *process) start(at place, join string, listen []string) *slot {
	ctx, cancel := context.WithCancel(p.life)
	s := &slot{place: at, opened: make(chan struct{}), ended: make(chan struct{}), stop: cancel}
	p.mu.Lock()
	p.tenants = append(p.tenants, s)
	p.mu.Unlock()
	p.work.Go(func() {
		defer close(s.ended)
		defer cancel()
		err := p.keep(ctx, s, join, listen)
		s.running.Store(nil)
		if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return
		}
		s.failed.Store(&err)
		p.failed(s, err)
	})
	return s
}

// keep runs one tenant.
func (p *process) keep(ctx context.Context, s *slot, join string, listen []string) (err error) {
	opened := sync.OnceFunc(func() { close(s.opened) })
	defer opened()
	if s.place.err != nil {
		return s.place.err
	}
	if !s.place.note.Moved.IsZero() { // it lives elsewhere
		if id, ok := s.place.note.movedMesh(); ok {
			s.mesh.Store(&id)
		}
		return nil
	}
	c := p.cfg
	c.Data, c.slot, c.Join, c.Listen = s.place.dir, s.place.note.Slot, join, listenAt(p.cfg.Listen, s.place.note.Slot)
	if listen != nil {
		c.Listen = listen
	}
	for {
		err := p.keepOnce(ctx, s, c, opened)
		if !errors.Is(err, ledger.ErrBehind) || ctx.Err() != nil {
			return err
		}
		// It slept while others made a checkpoint: what it has is too old, and comes from the bucket again.
		p.log.Warn("the vault begins anew from the bucket", "err", err)
		s.running.Store(nil)
		c.Join = ""
	}
}

// keepOnce runs one tenant until it ends. opened is called when it runs.
func (p *process) keepOnce(ctx context.Context, s *slot, c Config, opened func()) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	k := &keeper{cfg: c, room: p.whole.room, log: p.log, events: p.events, stop: stop, rosterCh: make(chan struct{}, 1)}
	defer func() { err = errors.Join(err, k.endHolding(), k.close()) }()
	err = k.open(ctx)
	if k.roster != nil && k.roster.State().Mesh() != (shoal.MeshID{}) {
		mesh := k.roster.State().Mesh()
		s.mesh.Store(&mesh)
	}
	if err != nil {
		return err
	}
	s.joined.Store(k.joined)
	s.running.Store(k)
	opened()
	return k.run(ctx)
}

// failed reports a tenant that could not go on.
func (p *process) failed(s *slot, err error) {
	p.log.Error("a tenant does not run", "tenant", s.name(), "err", err)
	p.events.Add(control.Event{Kind: control.EventProblem, Message: "Tenant " + s.name() + " does not run: " + err.Error()})
	select {
	case <-s.opened:
	default: // it never ran: awaitOpen and who started it hear of it
		return
	}
	for _, other := range p.all() {
		if other.failed.Load() == nil {
			return
		}
	}
	select {
	case p.last <- err:
	default:
	}
}

// started says what runs, and where.
func (p *process) started() control.Started {
	st := control.Started{Name: p.cfg.Name, Addresses: []string{}}
	for _, s := range p.all() {
		k := s.running.Load()
		if k == nil {
			continue
		}
		if st.Device == "" {
			st.Device, st.Name = k.id.Device().String(), k.name(k.id.Device())
		}
		st.Addresses = append(st.Addresses, k.host.Addrs()...)
		st.Joined = st.Joined || s.joined.Load()
	}
	return st
}

func (p *process) close() error {
	var errs []error
	if p.events != nil {
		errs = append(errs, p.events.Close())
	}
	if p.home != nil {
		errs = append(errs, p.home.Close())
	}
	return errors.Join(errs...)
}

// meshOf is the mesh that a ticket leads to, for messages and folders.
func meshOf(ticket string) (shoal.MeshID, error) {
	t, err := p2p.ParseTicket(ticket)
	if err != nil {
		return shoal.MeshID{}, control.Errorf(control.CodeUsage, "this is no ticket: make one with `shoal invite --role vault` on an owner's device")
	}
	if t.Vacant() {
		return shoal.MeshID{}, control.Errorf(control.CodeUsage, "this is the ticket of a vault that waits for a mesh: give it to `shoal devices add-vault` on a device")
	}
	return t.Mesh, nil
}
