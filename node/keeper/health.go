package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/metrics"
	"github.com/shoalmesh/shoal/p2p"
	"github.com/shoalmesh/shoal/vault"
)

// healthPatience bounds reading one request and writing one answer.
const healthPatience = 10 * time.Second

// listenMetrics binds the address of /healthz and /metrics.
func listenMetrics(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, control.Errorf(control.CodeUsage, "listen for metrics: %w", err)
	}
	return l, nil
}

// serveMetrics answers until ctx ends. Who may reach the address may read; nothing can be changed there, and no names are told.
func (p *process) serveMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /metrics", p.metrics)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: healthPatience, ReadTimeout: healthPatience, WriteTimeout: healthPatience, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// healthz answers 200 when all is well, else 503 with a line for each problem.
func (p *process) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	problems := p.problems()
	if len(problems) == 0 {
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, text := range problems {
		_, _ = fmt.Fprintln(w, text)
	}
}

// problems are what an operator has to look at: a tenant that does not run, a store that can't be written, a scrub that failed. A quota that is
// used up is none: devices are told.
func (p *process) problems() (out []string) {
	for _, s := range p.all() {
		if !s.place.note.Moved.IsZero() {
			continue
		}
		k := s.running.Load()
		if k == nil {
			out = append(out, "tenant "+s.name()+" does not run")
			continue
		}
		r, err := k.tenant.Report()
		if err != nil {
			out = append(out, "tenant "+s.name()+": its database can't be read")
			continue
		}
		if r.Trouble == index.TroubleDisk {
			out = append(out, "tenant "+s.name()+": its packs can't be written")
		}
		if r.Scrub.Problem != "" {
			out = append(out, "tenant "+s.name()+": the last scrub failed")
		}
	}
	return out
}

// family is one kind of figure, of each tenant.
type family struct {
	name, help string
	kind       metrics.Kind
	samples    []metrics.Sample
}

func (f *family) add(value float64, labels ...string) {
	f.samples = append(f.samples, metrics.Sample{Labels: labels, Value: value})
}

// figures are what is told of tenants. A tenant is named by the beginning of its mesh's ID.
type figures struct {
	up, blocks, kept, quota, lacking, records, devices, traffic, relayed, scrub, trouble family
}

func newFigures() *figures {
	gauge := func(name, help string) family {
		return family{name: "shoal_vault_" + name, help: help, kind: metrics.Gauge}
	}
	counter := func(name, help string) family {
		return family{name: "shoal_vault_" + name, help: help, kind: metrics.Counter}
	}
	return &figures{
		up:      gauge("tenant_up", "Whether the tenant runs."),
		blocks:  gauge("blocks", "Sealed blocks kept."),
		kept:    gauge("bytes", "Bytes of sealed blocks kept."),
		quota:   gauge("quota_bytes", "Bytes that may be kept; 0: any number."),
		lacking: gauge("lacking_blocks", "Blocks that live records need and that are not here."),
		records: gauge("records", "Live records."),
		devices: gauge("connected_devices", "Devices connected, by how."),
		traffic: counter("traffic_bytes_total", "Bytes that streams received and sent."),
		relayed: counter("relayed_bytes_total", "Bytes passed on between devices that can't reach each other."),
		scrub:   gauge("scrub_last_success_timestamp_seconds", "When the last scrub that went through ended."),
		trouble: gauge("trouble", "Whether nothing is taken in, by why."),
	}
}

func (f *figures) all() []*family {
	return []*family{&f.up, &f.blocks, &f.kept, &f.quota, &f.lacking, &f.records, &f.devices, &f.traffic, &f.relayed, &f.scrub, &f.trouble}
}

// network adds what a tenant's network has done.
func (f *figures) network(name string, h *p2p.Host) {
	in, out := h.Traffic()
	f.traffic.add(float64(in), "tenant", name, "direction", "in")
	f.traffic.add(float64(out), "tenant", name, "direction", "out")
	f.relayed.add(float64(h.Relayed()), "tenant", name)
	by := map[p2p.Transport]int{}
	for _, peer := range h.Peers() {
		by[peer.Transport]++
	}
	for _, how := range []p2p.Transport{p2p.TransportLAN, p2p.TransportDirect, p2p.TransportRelay} {
		f.devices.add(float64(by[how]), "tenant", name, "transport", string(how))
	}
}

// report adds what a tenant keeps.
func (f *figures) report(name string, r *vault.Report) {
	var blocks, lacking, records int64
	for i := range r.Folders {
		kept := &r.Folders[i].Kept
		blocks, lacking, records = blocks+kept.Blocks, lacking+kept.Lacking, records+kept.Records
	}
	f.blocks.add(float64(blocks), "tenant", name)
	f.lacking.add(float64(lacking), "tenant", name)
	f.records.add(float64(records), "tenant", name)
	f.kept.add(float64(r.Used), "tenant", name)
	f.quota.add(float64(r.Quota), "tenant", name)
	for _, why := range []index.Trouble{index.TroubleQuota, index.TroubleDisk} {
		f.trouble.add(truth(r.Trouble == why), "tenant", name, "reason", troubleKind(why))
	}
	if !r.Scrub.LastFull.IsZero() {
		f.scrub.add(float64(r.Scrub.LastFull.UnixMilli())/1000, "tenant", name)
	}
}

// metrics answers with the figures of all tenants and of the process.
func (p *process) metrics(w http.ResponseWriter, _ *http.Request) {
	f := newFigures()
	for _, s := range p.all() {
		k := s.running.Load()
		f.up.add(truth(k != nil), "tenant", s.name())
		if k == nil {
			continue
		}
		f.network(s.name(), k.host)
		if r, err := k.tenant.Report(); err == nil {
			f.report(s.name(), &r)
		}
	}
	var text bytes.Buffer
	for _, x := range append(f.all(), p.ownFigures()...) {
		_ = metrics.Write(&text, x.name, x.kind, x.help, x.samples...) // a buffer takes everything
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	_, _ = w.Write(text.Bytes())
}

// ownFigures are those of the process.
func (p *process) ownFigures() []*family {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	one := func(v float64) []metrics.Sample { return []metrics.Sample{{Value: v}} }
	return []*family{
		{"shoal_vault_start_timestamp_seconds", "When the process began.", metrics.Gauge, one(float64(p.began.Unix()))},
		{"shoal_vault_whole_quota_bytes", "Bytes that all tenants may keep together; 0: any number.", metrics.Gauge, one(float64(p.whole.limit.Load()))},
		{"shoal_process_memory_bytes", "Memory that the program has from the system.", metrics.Gauge, one(float64(memory.Sys - memory.HeapReleased))},
		{"shoal_process_goroutines", "Goroutines.", metrics.Gauge, one(float64(runtime.NumGoroutine()))},
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
