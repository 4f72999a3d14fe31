//go:build linux

package main

import (
	"errors"
	"fmt"
)

// Sizes of a smoke run.
const (
	smokeMiB   = 64
	smokeFiles = 2000
	smokeTries = 20
)

// beSmall makes a run short: what it counts does not depend on how fast the machine is.
func (c *config) beSmall() {
	c.peers, c.rounds, c.sizeMiB, c.files, c.tries = nil, 1, smokeMiB, smokeFiles, smokeTries
	c.only = nil
	for name := range counts {
		c.only = append(c.only, name)
	}
}

// count is the most that a workload may send and record.
type count struct {
	content  float64 // bytes on the wire for each byte of content
	bytes    int64   // and in all
	perUnit  int64   // and for each file, or each edit
	records  int64   // records for each file, or each edit
	overhead int64   // and in all: folders
}

// counts are somewhat above what was measured, since chance decides where blocks are cut, and never above what a change may cost.
var counts = map[string]count{
	"bigfile":      {content: 1.04, bytes: 64 << 10, records: 1},
	"smallfiles":   {content: 1.06, bytes: 64 << 10, perUnit: 700, records: 1, overhead: 40},
	"latency":      {bytes: 8 << 10, perUnit: 2600, records: 1, overhead: 5}, // a file may be seen empty before it is written
	"insert":       {bytes: 3 << 19, records: 1},
	"overwrite":    {bytes: 3 << 20, records: 1},
	"append":       {bytes: 12 << 20, records: 1},
	"rename":       {bytes: 4 << 10, records: 2},
	"copy":         {bytes: 4 << 10, records: 1},
	"renamefolder": {bytes: 64 << 10, perUnit: 800, records: 2, overhead: 80},
	"copyfolder":   {bytes: 64 << 10, perUnit: 600, records: 1, overhead: 40},
}

// most returns how many bytes and records a row may have.
func (k count) most(row result) (wire, records int64) {
	return int64(k.content*float64(row.bytes)) + k.bytes + k.perUnit*row.units, k.records*row.units + k.overhead
}

// checkCounts is an error when a row failed, sent or recorded more than it may.
func (r *report) checkCounts() error {
	var errs []error
	for _, row := range r.Results {
		wire, records := counts[row.Workload].most(row)
		switch {
		case row.Error != "":
			errs = append(errs, fmt.Errorf("%s: %s", row.What, row.Error))
		case row.WireBytes > wire:
			errs = append(errs, fmt.Errorf("%s: %d bytes on the wire, at most %d are expected", row.What, row.WireBytes, wire))
		case row.Records > records:
			errs = append(errs, fmt.Errorf("%s: %d records, at most %d are expected", row.What, row.Records, records))
		}
		note("%-14s %9d bytes of %9d, %5d records of %5d", row.Workload, row.WireBytes, wire, row.Records, records)
	}
	if len(r.Results) != len(counts) {
		errs = append(errs, fmt.Errorf("%d of %d workloads ran", len(r.Results), len(counts)))
	}
	return errors.Join(errs...)
}
