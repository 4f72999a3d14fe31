//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is one row: a workload on a peer, the median of its rounds by wall time. Names of fields are a contract with who reads the JSON.
type result struct {
	Workload    string  `json:"workload"`
	What        string  `json:"what"`
	Peer        string  `json:"peer"`
	Rounds      int     `json:"rounds"`
	Error       string  `json:"error,omitempty"`
	WallSeconds float64 `json:"wall_s"`
	WallLeast   float64 `json:"wall_least_s"` // of all rounds
	WallMost    float64 `json:"wall_most_s"`
	MBPerSecond float64 `json:"mb_per_s,omitempty"`
	FilesPerS   float64 `json:"files_per_s,omitempty"`
	CPUSeconds  float64 `json:"cpu_s"`
	PeakBytes   int64   `json:"peak_bytes"`
	AnonBytes   int64   `json:"anon_bytes"`
	WireBytes   int64   `json:"wire_bytes"`
	Records     int64   `json:"records,omitempty"`
	StoredBytes int64   `json:"stored_bytes,omitempty"` // lengths of the files of a store; those of a database have holes
	DiskBytes   int64   `json:"disk_bytes,omitempty"`   // what they take of the disk
	P50Ms       float64 `json:"p50_ms,omitempty"`
	P95Ms       float64 `json:"p95_ms,omitempty"`

	bytes, units int64 // of content; files, or edits
}

// report is everything that was measured.
type report struct {
	Machine string   `json:"machine"`
	Peers   []string `json:"peers"`
	Limits  []limit  `json:"limits,omitempty"`
	Results []result `json:"results"`
	Remarks []string `json:"remarks,omitempty"`
	Behind  []string `json:"behind"` // rows where shoal is not ahead of syncthing, or takes more room than restic
}

// with fills a row in.
func (r result) with(o outcome) result {
	seconds := o.Wall.Seconds()
	r.Rounds, r.WallSeconds, r.CPUSeconds, r.PeakBytes, r.WireBytes, r.Records, r.AnonBytes = 1, seconds, o.CPU.Seconds(), o.Peak, o.Wire, o.Records, o.Anon
	r.StoredBytes, r.DiskBytes = o.stored, o.disk
	r.bytes, r.units = o.bytes, int64(max(o.files, len(o.Edits)))
	if o.bytes > 0 {
		r.MBPerSecond = float64(o.bytes) / 1e6 / seconds
	}
	if o.files > 1 {
		r.FilesPerS = float64(o.files) / seconds
	}
	if edits := slices.Sorted(slices.Values(o.Edits)); len(edits) > 0 {
		r.P50Ms = milliseconds(edits[len(edits)/2])
		r.P95Ms = milliseconds(edits[len(edits)*95/100])
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *report) add(rows []result, remarks []string) {
	r.Results, r.Remarks = append(r.Results, rows...), append(r.Remarks, remarks...)
}

// finish puts the rounds of each row together and compares.
func (r *report) finish() {
	type key struct{ workload, what, peer string }
	rounds := map[key][]result{}
	var order []key
	for _, row := range r.Results {
		k := key{row.Workload, row.What, row.Peer}
		if rounds[k] == nil {
			order = append(order, k)
		}
		rounds[k] = append(rounds[k], row)
	}
	r.Results = nil
	for _, k := range order {
		all := rounds[k]
		// A round that failed sorts first, so that it is not passed over when it is the only one.
		good := slices.DeleteFunc(slices.Clone(all), func(row result) bool { return row.Error != "" })
		if len(good) == 0 {
			good = all
		}
		slices.SortFunc(good, func(a, b result) int { return cmp.Compare(a.WallSeconds, b.WallSeconds) })
		row := good[len(good)/2]
		row.Rounds, row.WallLeast, row.WallMost = len(good), good[0].WallSeconds, good[len(good)-1].WallSeconds
		r.Results = append(r.Results, row)
	}
	slices.SortStableFunc(r.Results, func(a, b result) int {
		return cmp.Compare(slices.Index(workloadNames(), a.Workload), slices.Index(workloadNames(), b.Workload))
	})
	r.compare()
}

// compare finds the rows where shoal is not ahead of syncthing, in any column, or takes more room than restic.
func (r *report) compare() {
	r.Behind = []string{}
	for _, ours := range r.Results {
		for _, o := range r.Results {
			if ours.Peer == "shoal" && o.Peer == "restic" && o.What == ours.What && o.DiskBytes > 0 && ours.DiskBytes > o.DiskBytes {
				r.Behind = append(r.Behind, fmt.Sprintf("%s: %.2f MiB stored against %.2f", ours.Workload, mebibytes(ours.DiskBytes), mebibytes(o.DiskBytes)))
			}
		}
	}
	for _, ours := range r.Results {
		i := slices.IndexFunc(r.Results, func(o result) bool { return o.What == ours.What && o.Peer == "syncthing" && o.Error == "" })
		if ours.Peer != "shoal" || i < 0 {
			continue
		}
		theirs := r.Results[i]
		if ours.Error != "" {
			r.Behind = append(r.Behind, ours.Workload+": failed")
			continue
		}
		for _, c := range []struct {
			column       string
			ours, theirs float64
		}{
			{"wall", ours.WallSeconds, theirs.WallSeconds},
			{"CPU", ours.CPUSeconds, theirs.CPUSeconds},
			{"peak memory", float64(ours.PeakBytes), float64(theirs.PeakBytes)},
			{"wire", float64(ours.WireBytes), float64(theirs.WireBytes)},
			{"p50", ours.P50Ms, theirs.P50Ms},
		} {
			if c.ours > c.theirs {
				r.Behind = append(r.Behind, fmt.Sprintf("%s: %s %.3g against %.3g", ours.Workload, c.column, c.ours, c.theirs))
			}
		}
	}
}

// print writes the table in Markdown.
func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", r.Machine)
	for _, p := range r.Peers {
		fmt.Fprintf(out, "- %s\n", p)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| workload\t| peer\t| wall s\t| least–most\t| MB/s\t| files/s\t| CPU s\t| peak MiB\t| anon MiB\t| wire MiB\t| stored MiB\t| p50 ms\t| p95 ms\t|")
	fmt.Fprintln(w, "| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t| ---\t|")
	for _, row := range r.Results {
		if row.Error != "" {
			fmt.Fprintf(w, "| %s\t| %s\t| failed\t|\t|\t|\t|\t|\t|\t|\t|\t|\t|\t|\n", row.What, row.Peer)
			continue
		}
		fmt.Fprintf(w, "| %s\t| %s\t| %.2f\t| %.2f–%.2f\t| %s\t| %s\t| %.2f\t| %.0f\t| %.0f\t| %.2f\t| %s\t| %s\t| %s\t|\n", row.What, row.Peer, row.WallSeconds, row.WallLeast, row.WallMost,
			optional(row.MBPerSecond), optional(row.FilesPerS), row.CPUSeconds, mebibytes(row.PeakBytes), mebibytes(row.AnonBytes), mebibytes(row.WireBytes),
			optional(mebibytes(row.DiskBytes)), optional(row.P50Ms), optional(row.P95Ms))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Remarks) > 0 {
		fmt.Fprintf(out, "\n- %s\n", strings.Join(r.Remarks, "\n- "))
	}
	if err := r.printRatios(out); err != nil {
		return err
	}
	if err := printLimits(out, r.Limits); err != nil {
		return err
	}
	if len(r.Behind) > 0 {
		fmt.Fprintf(out, "\nshoal is not ahead of syncthing, or takes more room than restic, here:\n\n- %s\n", strings.Join(r.Behind, "\n- "))
	}
	return nil
}

// printRatios writes how many times as fast as each other peer shoal was, by the medians.
func (r *report) printRatios(out io.Writer) error {
	var others []string
	for _, row := range r.Results {
		if row.Peer != "shoal" && !slices.Contains(others, row.Peer) {
			others = append(others, row.Peer)
		}
	}
	if len(others) == 0 {
		return nil
	}
	fmt.Fprint(out, "\nHow many times as fast as each, and with which part of its processor time:\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "| workload\t| %s\t|\n|%s\n", strings.Join(others, "\t| "), strings.Repeat(" ---\t|", len(others)+1))
	for _, ours := range r.Results {
		if ours.Peer != "shoal" || ours.Error != "" {
			continue
		}
		fmt.Fprintf(w, "| %s\t|", ours.What)
		for _, name := range others {
			i := slices.IndexFunc(r.Results, func(o result) bool { return o.What == ours.What && o.Peer == name && o.Error == "" })
			switch {
			case i < 0:
				fmt.Fprint(w, "\t|")
			case ours.P50Ms > 0:
				fmt.Fprintf(w, " %.2f\t|", r.Results[i].P50Ms/ours.P50Ms)
			default:
				fmt.Fprintf(w, " %.2f (%.2f)\t|", r.Results[i].WallSeconds/ours.WallSeconds, ours.CPUSeconds/max(r.Results[i].CPUSeconds, 0.01))
			}
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func optional(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", v)
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// describeMachine says in a line where this was measured.
func describeMachine() string {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		kernel = []byte("unknown")
	}
	return fmt.Sprintf("%d cores, %s/%s, Linux %s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		strings.TrimSpace(string(kernel)), time.Now().UTC().Format(time.DateOnly))
}
