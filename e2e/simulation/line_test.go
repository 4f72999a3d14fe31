package simulation

import (
	"bytes"
	"fmt"

	"github.com/shoalmesh/shoal/indexexchange"
)

// lineEnd is one device's end of a link: its session, and the frames on their way to it.
type lineEnd struct {
	session *indexexchange.Session
	inbox   [][]byte
}

func (l *link) other(d *device) *device {
	switch d {
	case l.a:
		return l.b
	case l.b:
		return l.a
	}
	return nil
}

// cut breaks the connection; what was on its way is lost.
func (l *link) cut() {
	for i, e := range l.end {
		if e != nil {
			e.session.Close()
		}
		l.end[i] = nil
	}
}

// connect begins a session on both sides.
func (l *link) connect() {
	if l.end[0] == nil {
		l.end[0] = &lineEnd{session: l.a.core.Connect(l.b.id.Device())}
		l.end[1] = &lineEnd{session: l.b.core.Connect(l.a.id.Device())}
	}
}

// move lets one side send what it has, and the other take in one frame. It tells whether anything moved.
func (l *link) move(w *world, side int) (bool, error) {
	if l.stuck[side] {
		return false, nil
	}
	l.connect()
	from, to := l.end[side], l.end[1-side]
	frames, err := from.session.Next(w.ctx)
	if err != nil {
		return false, fmt.Errorf("link %s-%s: %w", l.a.name, l.b.name, err)
	}
	if len(frames) > 0 {
		to.inbox = append(to.inbox, frames...)
	}
	if len(to.inbox) == 0 {
		return false, nil
	}
	frame := to.inbox[0]
	to.inbox = to.inbox[1:]
	if w.disasters && !w.oracle.closed && w.r.IntN(100) == 0 {
		l.mangle(w, to, frame)
		return true, nil
	}
	if err := to.session.Receive(w.ctx, frame); err != nil {
		return false, fmt.Errorf("link %s-%s: receive: %w", l.a.name, l.b.name, err)
	}
	return true, nil
}

// mangle delivers a frame that is not what was sent. Whatever the receiver makes of it, the connection ends.
func (l *link) mangle(w *world, to *lineEnd, frame []byte) {
	bad := bytes.Clone(frame)
	how := w.r.IntN(3)
	switch {
	case how == 0 || len(bad) == 0:
		bad = bad[:w.r.IntN(len(bad)+1)]
	case how == 1:
		bad[w.r.IntN(len(bad))] ^= 1 << w.r.IntN(8)
	default:
		_ = to.session.Receive(w.ctx, frame) // twice
	}
	err := to.session.Receive(w.ctx, bad)
	w.trace("link %s-%s: a mangled frame (%d): %v", l.a.name, l.b.name, how, err)
	l.cut()
}
