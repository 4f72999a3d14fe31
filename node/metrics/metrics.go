// Package metrics writes what Prometheus reads: its text format 0.0.4. It knows no registry: who is asked writes what is so at that moment.
package metrics

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ContentType is that of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Kind is what a family counts.
type Kind string

// The kinds: a counter only grows while the process runs.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
)

// Sample is one value of a family. Labels are name, value, name, value …
type Sample struct {
	Labels []string
	Value  float64
}

// Write writes one family: its help, kind and samples. A family without samples is left out. Names are the caller's own and must be valid; values of labels may be
// anything.
func Write(w io.Writer, name string, kind Kind, help string, samples ...Sample) error {
	if len(samples) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, escape(help, false), name, kind)
	for _, s := range samples {
		b.WriteString(name)
		for i := 0; i+1 < len(s.Labels); i += 2 {
			sep := ","
			if i == 0 {
				sep = "{"
			}
			fmt.Fprintf(&b, `%s%s="%s"`, sep, s.Labels[i], escape(s.Labels[i+1], true))
		}
		if len(s.Labels) > 1 {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		b.WriteString(number(s.Value))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func escape(text string, quoted bool) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), "\n", `\n`)
	if quoted {
		text = strings.ReplaceAll(text, `"`, `\"`)
	}
	return text
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case math.IsNaN(v):
		return "NaN"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
