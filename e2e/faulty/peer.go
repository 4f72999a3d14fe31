package faulty

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/blockexchange"
	"github.com/shoalmesh/shoal/indexexchange"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p"
)

// Peer is a faulty device that was admitted to a mesh and is connected with one device of it, its victim. Its methods belong to one goroutine.
type Peer struct {
	Victim shoal.DeviceID

	ticket  string
	ignored context.CancelFunc // ends what is served in the background
	id      *mesh.Identity
	host    *p2p.Host
	running sync.WaitGroup
	addrs   []string // of the victim

	mesh   shoal.MeshID
	folder shoal.FolderID
	roster *mesh.Roster
	keys   *mesh.FolderKeys
	epoch  mesh.Epoch

	asked   chan p2p.Stream // block streams that the victim opened; depth 4, more are reset
	called  chan p2p.Stream // index streams that the victim opened, if its ID is the lower one; depth 1, more are reset
	serving *line           // the last of them that was taken
	streams []p2p.Stream
	nonce   uint64 // of the last journal
}

// Join makes a device with an ID below that of its victim and of those named, so that it is the one to open the index stream, and has it admitted with a
// ticket.
func Join(ctx context.Context, ticket, name string, below ...shoal.DeviceID) (*Peer, error) {
	return enter(ctx, ticket, name, (*Peer).welcomed, below)
}

func enter(ctx context.Context, ticket, name string, welcomed func(*Peer, []byte) error, below []shoal.DeviceID) (*Peer, error) {
	t, err := p2p.ParseTicket(ticket)
	if err != nil {
		return nil, err
	}
	p := &Peer{ticket: ticket, Victim: t.Inviter, mesh: t.Mesh}
	first := slices.MinFunc(append(below, t.Inviter), shoal.DeviceID.Compare)
	for p.id == nil || p.id.Device().Compare(first) > 0 {
		if p.id, err = mesh.NewIdentity(rand.Reader); err != nil {
			return nil, err
		}
	}
	for _, a := range t.Addrs {
		p.addrs = append(p.addrs, a+"/p2p/"+t.Inviter.String())
	}
	if err := p.newHost(); err != nil {
		return nil, err
	}
	_, raw, err := p.host.Join(ctx, ticket, p2p.Guest{Name: name, HPKE: p.id.HPKEPublic()}, nil)
	if err == nil {
		err = welcomed(p, raw)
	}
	if err == nil {
		err = p.run(ctx)
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("join as faulty device: %w", err)
	}
	return p, nil
}

// Face is the same device once more, connected with another victim. Close both.
func (p *Peer) Face(ctx context.Context, victim shoal.DeviceID, addrs []string) (*Peer, error) {
	face := &Peer{ticket: p.ticket, Victim: victim, id: p.id, addrs: addrs, mesh: p.mesh, folder: p.folder, roster: p.roster, keys: p.keys, epoch: p.epoch}
	if err := face.newHost(); err != nil {
		return nil, err
	}
	if err := face.run(ctx); err != nil {
		face.Close()
		return nil, err
	}
	return face, nil
}

// newHost makes a host that lets only the victim in.
func (p *Peer) newHost() (err error) {
	p.asked = make(chan p2p.Stream, 4)
	p.host, err = p2p.New(p2p.Config{
		Identity: p.id, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, RuntimeDirs: []string{},
		Gate: func(d shoal.DeviceID) bool { return d == p.Victim },
	})
	if err != nil {
		return err
	}
	p.host.Handle(blockexchange.Protocol, func(ctx context.Context, _ shoal.DeviceID, s p2p.Stream) {
		select {
		case p.asked <- s:
			<-ctx.Done()
		default:
		}
	})
	if p.id.Device().Compare(p.Victim) < 0 {
		return nil
	}
	p.called = make(chan p2p.Stream, 1)
	p.host.Handle(indexexchange.Protocol, func(ctx context.Context, _ shoal.DeviceID, s p2p.Stream) {
		select {
		case p.called <- s:
			<-ctx.Done()
		default:
		}
	})
	return nil
}

// welcomed takes over what the victim gave.
func (p *Peer) welcomed(raw []byte) error {
	var w struct {
		Statements [][]byte `json:"statements"`
		Folder     string   `json:"folder"`
	}
	if err := json.Unmarshal(raw, &w); err != nil {
		return err
	}
	p.roster = mesh.NewRoster()
	for _, st := range w.Statements {
		if _, err := p.roster.Add(st); err != nil {
			return err
		}
	}
	var err error
	if p.folder, err = shoal.ParseFolderID(w.Folder); err != nil {
		return err
	}
	if p.keys, err = p.roster.FolderKeys(p.id, p.folder); err != nil {
		return err
	}
	epoch, ok := p.keys.Current()
	if !ok {
		return mesh.ErrNoKey
	}
	p.epoch = epoch
	return nil
}

// run connects with the victim.
func (p *Peer) run(ctx context.Context) error {
	life, stop := context.WithCancel(context.Background())
	p.ignored = stop
	p.running.Go(func() { _ = p.host.Run(life) }) // it ends when the peer is closed
	p.host.SetMembers(map[shoal.DeviceID][]string{p.Victim: p.addrs})
	return p.connected(ctx)
}

// connected returns when the link with the victim is up.
func (p *Peer) connected(ctx context.Context) error {
	for {
		select {
		case e, ok := <-p.host.Events():
			if !ok {
				return p2p.ErrClosed
			}
			if e.Up && e.Device == p.Victim {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("connect with the victim: %w", ctx.Err())
		}
	}
}

// Reconnect ends the connection and comes back as the same device.
func (p *Peer) Reconnect(ctx context.Context) error {
	p.Close()
	if err := p.newHost(); err != nil {
		return err
	}
	return p.run(ctx)
}

// ComeAndGreet comes back as the same device, and has the victim answer to a greeting.
func (p *Peer) ComeAndGreet(ctx context.Context) error {
	if err := p.Reconnect(ctx); err != nil {
		return err
	}
	_, err := p.talk(ctx)
	return err
}

// Close ends everything that the device does.
func (p *Peer) Close() {
	for _, s := range p.streams {
		_ = s.Reset()
	}
	p.streams, p.serving = nil, nil
	if p.ignored != nil {
		p.ignored()
	}
	_ = p.host.Close()
	p.running.Wait()
}

// Device is the ID of the faulty device.
func (p *Peer) Device() shoal.DeviceID { return p.id.Device() }

// Quiet ends the streams of the last misbehaviour. The one on which the victim asks for blocks stays open.
func (p *Peer) Quiet() {
	for _, s := range p.streams {
		_ = s.Reset()
	}
	p.streams = nil
}

// line is a stream with what was sent on it not yet read.
type line struct {
	p2p.Stream
	in *bufio.Reader
}

// open opens a stream to the victim. Writes and reads end after a while, so that nothing hangs.
func (p *Peer) open(ctx context.Context, protocol string) (*line, error) {
	s, err := p.opened(ctx, protocol)
	if err != nil {
		return nil, err
	}
	p.streams = append(p.streams, s)
	if at, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(at)
	}
	return &line{Stream: s, in: bufio.NewReader(s)}, nil
}

// opened opens a stream, or waits for one that only the victim may open.
func (p *Peer) opened(ctx context.Context, protocol string) (p2p.Stream, error) {
	if p.called == nil || protocol != indexexchange.Protocol {
		return p.host.Open(ctx, p.Victim, protocol)
	}
	p.Quiet() // it opens no second one
	select {
	case s := <-p.called:
		return s, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait until the victim opens %s: %w", protocol, ctx.Err())
	}
}

// index opens an index stream and exchanges rosters, so that the victim talks about folders.
func (p *Peer) index(ctx context.Context) (*line, error) {
	l, err := p.open(ctx, indexexchange.Protocol)
	if err != nil {
		return nil, err
	}
	genesis := mesh.Hash(p.mesh)
	if err := l.send(body(bodyRoster, message(nil).bytes(1, genesis[:]))); err != nil {
		return nil, err
	}
	_, err = l.await(bodyFrontier)
	return l, err
}

// talk is index, and takes part in the folder with these positions.
func (p *Peer) talk(ctx context.Context, positions ...[]byte) (*line, error) {
	l, err := p.index(ctx)
	if err == nil {
		err = l.send(frontier(p.folder, positions...))
	}
	return l, err
}

// blocks opens a stream on which the victim is asked for blocks.
func (p *Peer) blocks(ctx context.Context) (*line, error) { return p.open(ctx, blockexchange.Protocol) }

// requested returns the next request of the victim for a block, and the line to answer it on.
func (p *Peer) requested(ctx context.Context) (*line, []byte, error) {
	for {
		if p.serving == nil {
			select {
			case s := <-p.asked:
				p.serving = &line{Stream: s, in: bufio.NewReader(s)}
			case <-ctx.Done():
				return nil, nil, fmt.Errorf("wait until the victim asks for blocks: %w", ctx.Err())
			}
		}
		if at, ok := ctx.Deadline(); ok {
			_ = p.serving.SetDeadline(at)
		}
		m, err := p.serving.read()
		if err != nil {
			p.serving = nil // the victim ended it, perhaps for what was done before
			continue
		}
		if ask := field(m, 1); ask != nil {
			return p.serving, m, nil
		}
	}
}

// send writes messages as frames.
func (l *line) send(messages ...[]byte) error {
	for _, m := range messages {
		if _, err := l.Write(frame(m)); err != nil {
			return err
		}
	}
	return nil
}

// read reads one message.
func (l *line) read() ([]byte, error) { return p2p.ReadFrame(l.in, maxMessage) }

// await reads messages until one has that body.
func (l *line) await(n protowire.Number) ([]byte, error) {
	for {
		m, err := l.read()
		if err != nil {
			return nil, fmt.Errorf("wait for index message %d: %w", n, err)
		}
		if b := field(m, n); b != nil {
			return b, nil
		}
	}
}

// drained reads until the victim ends the stream, which is what a misbehaviour that the victim notices leads to.
func (l *line) drained() error {
	for {
		if _, err := l.in.Discard(1); err != nil {
			return nil
		}
	}
}

// hearsNothing keeps a stream open for a moment in which the victim may do what it likes.
func (l *line) hearsNothing(d time.Duration) {
	_ = l.SetReadDeadline(time.Now().Add(d))
	_ = l.drained()
}

// blockOf returns a block of random content, its ID, and how it is sealed.
func (p *Peer) blockOf(size int) (id block.ID, sealed []byte, err error) {
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		return id, nil, err
	}
	keys := &block.Keys{Chunker: p.keys.Chunker, BlockID: p.keys.BlockID}
	id = keys.ID(content)
	sealed, err = block.Seal(nil, block.SealKey(p.epoch.Seal), p.epoch.ID, id, content, block.Off, rand.Reader)
	return id, sealed, err
}
