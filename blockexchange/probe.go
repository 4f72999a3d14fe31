package blockexchange

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/p2p"
)

// probeWait is how long a probe waits for one answer.
const probeWait = 30 * time.Second

// ErrSpoiled: what a vault gave for a block did not open.
var ErrSpoiled = errors.New("the copy of a block does not open")

// Probe asks a vault for blocks and opens what it gives, on a stream of its own, one after the other: fn gets nil for each whose copy is good,
// ErrAbsent or ErrSpoiled for each that is not. Copies that do not open are reported to it. Probe ends with the first error of fn, and
// with what broke the stream. It calls no Effects.
func (x *Exchange) Probe(ctx context.Context, vault shoal.DeviceID, wants []Want, fn func(Want, error) error) error {
	for _, w := range wants {
		if err := x.check(w); err != nil {
			return err
		}
	}
	s, err := x.cfg.Host.Open(ctx, vault, Protocol)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	p := prober{x: x, stream: s, in: bufio.NewReader(s)}
	for _, w := range wants {
		bad, err := p.ask(w)
		if err == nil {
			err = fn(w, bad)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("probe blocks at %s: %w", vault.Short(), err), s.Reset())
		}
	}
	return s.Close()
}

// prober asks on one stream.
type prober struct {
	x      *Exchange
	stream p2p.Stream
	in     *bufio.Reader
	last   uint64
}

// ask asks for a block until a copy opens or there is none: the vault serves another one when one was reported.
func (p *prober) ask(w Want) (bad, err error) {
	for range maxBadCopies {
		sealed, err := p.get(w)
		if err != nil {
			return nil, err
		}
		if sealed == nil {
			if bad == nil {
				bad = ErrAbsent
			}
			return bad, nil
		}
		plaintext, err := p.x.openBlock(w, sealed)
		if err == nil {
			whole := len(plaintext) == int(w.Size)
			plainBuffers.put(plaintext)
			if !whole {
				return ErrAbsent, nil // the recipe is wrong
			}
			return nil, nil
		}
		if errors.Is(err, ErrNoKey) {
			return nil, err
		}
		bad = ErrSpoiled
		r := report{folder: w.Folder, block: block.EpochRef{ID: w.Block, Epoch: w.Epoch}, sealed: block.SealedHash(sealed)}
		if err := p2p.WriteFrame(p.stream, encodeFetcher(fetcherMessage{reports: []report{r}})); err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// get asks once. It returns nil when the vault has nothing to give.
func (p *prober) get(w Want) ([]byte, error) {
	if err := p.stream.SetDeadline(p.x.cfg.Clock().Add(probeWait)); err != nil {
		return nil, err
	}
	p.last++
	if err := p2p.WriteFrame(p.stream, encodeFetcher(fetcherMessage{questions: []question{{number: p.last, want: bareOf(w)}}})); err != nil {
		return nil, err
	}
	for {
		raw, err := p2p.ReadFrame(p.in, maxSourceFrame)
		if err != nil {
			return nil, err
		}
		m, err := decodeSource(raw)
		if err != nil {
			return nil, err
		}
		a := m.answer
		switch {
		case a == nil: // it has something else now
			continue
		case a.number != p.last || a.size > block.MaxSealed:
			return nil, fmt.Errorf("answer to request %d of %d bytes: %w", a.number, a.size, errProtocol)
		case a.status != statusOK:
			return nil, nil
		}
		sealed := make([]byte, a.size)
		if _, err := io.ReadFull(p.in, sealed); err != nil {
			return nil, err
		}
		p.x.received.Add(int64(len(sealed)))
		return sealed, nil
	}
}
