// Package eventlog keeps what happened on one device: the newest events in memory, a longer tail in a file of JSON lines.
//
// An event's Seq rises over restarts too, because it begins with the time at which the log was opened. Log is safe for concurrent use.
package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/shoalmesh/shoal/node/control"
)

const (
	keep    = 20_000  // events in memory
	maxFile = 8 << 20 // bytes; a file that has become larger is begun anew with its newest half
)

// Log is the events of one device.
type Log struct {
	now func() time.Time

	mu     sync.Mutex
	file   *os.File        // guarded by mu; nil when it can't be written
	size   int64           // guarded by mu; of the file
	events []control.Event // guarded by mu; oldest first
	seq    uint64          // guarded by mu
	news   chan struct{}   // guarded by mu; closed and replaced at each event
}

// Open reads the events kept in the file at path. A file that can't be used costs the past, not the present.
func Open(path string, now func() time.Time) (*Log, error) {
	l := &Log{now: now, news: make(chan struct{}), seq: uint64(now().UnixMilli()) << 16}
	l.load(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l.file = f
	if err := l.beginAnew(); err != nil {
		return nil, fmt.Errorf("write event log: %w", err)
	}
	return l, nil
}

// beginAnew has the file hold the newest events only, as many as fill half of it. Called with mu held.
func (l *Log) beginAnew() error {
	first, size := len(l.events), 0
	lines := make([][]byte, len(l.events))
	for first > 0 {
		line, err := json.Marshal(l.events[first-1])
		if err != nil {
			return err
		}
		if size += len(line) + 1; size > maxFile/2 {
			break
		}
		first--
		lines[first] = append(line, '\n')
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	n, err := l.file.Write(bytes.Join(lines[first:], nil))
	l.size = int64(n)
	return err
}

func (l *Log) load(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxFile {
		_, _ = f.Seek(st.Size()-maxFile/2, 0)
	}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	last := uint64(0)
	for sc.Scan() {
		var e control.Event
		if json.Unmarshal(sc.Bytes(), &e) == nil && last < e.Seq && e.Seq < l.seq {
			l.append(e)
			last = e.Seq
		}
	}
}

func (l *Log) append(e control.Event) {
	if len(l.events) >= keep {
		l.events = append(l.events[:0:0], l.events[keep/4:]...)
	}
	l.events = append(l.events, e)
}

// Add notes that something happened now.
func (l *Log) Add(e control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq, e.Time = l.seq, l.now()
	l.append(e)
	l.write(e)
	close(l.news)
	l.news = make(chan struct{})
}

// write puts e into the file. The past is worth no failure.
func (l *Log) write(e control.Event) {
	line, err := json.Marshal(e)
	if l.file == nil || err != nil {
		return
	}
	n, _ := l.file.Write(append(line, '\n'))
	if l.size += int64(n); l.size > maxFile {
		_ = l.beginAnew()
	}
}

// LastEvent returns the Seq of the newest event; 0 when there was none.
func (l *Log) LastEvent() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return 0
	}
	return l.events[len(l.events)-1].Seq
}

// after returns the kept events after since, and a channel that is closed when there are more.
func (l *Log) after(since uint64) ([]control.Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.events)
	for i > 0 && l.events[i-1].Seq > since {
		i--
	}
	return append([]control.Event(nil), l.events[i:]...), l.news
}

// WatchEvents is the one of control.Events.
func (l *Log) WatchEvents(ctx context.Context, since uint64, emit func(control.Event) error) error {
	for {
		list, news := l.after(since)
		for _, e := range list {
			if err := emit(e); err != nil {
				return err
			}
			since = e.Seq
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// Find returns at most limit of the newest events, oldest first; with a folder only those about it, and with a path those about that path and what is
// under it.
func (l *Log) Find(folder, path string, limit int) []control.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []control.Event
	for i := len(l.events) - 1; i >= 0 && len(out) < limit; i-- {
		e := l.events[i]
		if folder != "" && e.Folder != folder {
			continue
		}
		if p := string(e.Path); path != "" && p != path && !strings.HasPrefix(p, path+"/") {
			continue
		}
		out = append(out, e)
	}
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out
}

// Close ends writing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.file
	l.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}
