//go:build linux

package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/zeebo/blake3"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// limit is what this machine can do of one thing, for each second: on one thread, and on one for each processor at once.
type limit struct {
	What string  `json:"what"`
	Unit string  `json:"unit"`
	One  float64 `json:"one"`
	All  float64 `json:"all"`
}

const (
	limitTime  = 300 * time.Millisecond // of each measurement
	limitPiece = 256 << 10              // bytes, as a block of a big file
	limitFile  = 512 << 20              // bytes of the file that is written and synced
)

// worker does one thing again and again; step returns how much it did, end may be nil.
type worker struct {
	step func() (int64, error)
	end  func() error
}

// measureLimits measures what bounds the workloads, so that a figure can be held against it. dir is on the disk in question.
func measureLimits(ctx context.Context, dir string) ([]limit, error) {
	data := make([]byte, 16<<20)
	if _, err := io.ReadFull(lab.Random(1), data); err != nil {
		return nil, err
	}
	var out []limit
	for _, m := range []struct {
		what, unit string
		scale      float64
		start      func() (worker, error)
	}{
		{"copy in memory", "GB", 1e9, func() (worker, error) { return copying(data), nil }},
		{"AES-256-GCM", "GB", 1e9, func() (worker, error) { return sealing(data) }},
		{"BLAKE3, keyed", "GB", 1e9, func() (worker, error) { return naming(data) }},
		{"TCP over loopback, both ends", "GB", 1e9, func() (worker, error) { return sending(data[:limitPiece]) }},
		{"make, write and rename files of 4 KiB", "files", 1, func() (worker, error) { return making(dir, data[:4096], false), nil }},
		{"the same, each synced", "files", 1, func() (worker, error) { return making(dir, data[:4096], true), nil }},
	} {
		l := limit{What: m.what, Unit: m.unit}
		for threads, rate := range map[int]*float64{1: &l.One, runtime.NumCPU(): &l.All} {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			done, err := perSecond(threads, m.start)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.what, err)
			}
			*rate = done / m.scale
		}
		out = append(out, l)
	}
	rate, err := writeAndSync(filepath.Join(dir, "limit"), data)
	return append(out, limit{What: "write and sync a file of 512 MiB", Unit: "GB", One: rate / 1e9}), err
}

// perSecond returns what so many workers do together for each second.
func perSecond(threads int, start func() (worker, error)) (float64, error) {
	workers := make([]worker, threads)
	errs := make([]error, threads)
	for i := range workers {
		workers[i], errs[i] = start()
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	var total atomic.Int64
	var running sync.WaitGroup
	began := time.Now()
	for i, w := range workers {
		running.Go(func() {
			for errs[i] == nil && time.Since(began) < limitTime {
				var n int64
				n, errs[i] = w.step()
				total.Add(n)
			}
		})
	}
	running.Wait()
	rate := float64(total.Load()) / time.Since(began).Seconds()
	for _, w := range workers {
		if w.end != nil {
			errs = append(errs, w.end())
		}
	}
	return rate, errors.Join(errs...)
}

// copying copies what is too big for the caches.
func copying(data []byte) worker {
	to := make([]byte, len(data))
	return worker{step: func() (int64, error) { return int64(copy(to, data)), nil }}
}

func sealing(data []byte) (worker, error) {
	c, err := aes.NewCipher(data[:32])
	if err != nil {
		return worker{}, err
	}
	aead, err := cipher.NewGCM(c)
	if err != nil {
		return worker{}, err
	}
	to, at := make([]byte, 0, limitPiece+aead.Overhead()), 0
	return worker{step: func() (int64, error) {
		at = (at + limitPiece) % len(data)
		aead.Seal(to, data[:aead.NonceSize()], data[at:at+limitPiece], nil)
		return limitPiece, nil
	}}, nil
}

func naming(data []byte) (worker, error) {
	h, err := blake3.NewKeyed(data[:32])
	if err != nil {
		return worker{}, err
	}
	sum, at := make([]byte, 0, 32), 0
	return worker{step: func() (int64, error) {
		at = (at + limitPiece) % len(data)
		h.Reset()
		_, err := h.Write(data[at : at+limitPiece])
		h.Sum(sum)
		return limitPiece, err
	}}, nil
}

// sending writes to a connection whose other end is read here, too.
func sending(piece []byte) (worker, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return worker{}, err
	}
	defer l.Close()
	from, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return worker{}, err
	}
	to, err := l.Accept()
	if err != nil {
		return worker{}, errors.Join(err, from.Close())
	}
	var reading sync.WaitGroup
	reading.Go(func() { // ends when from is closed
		for buf := make([]byte, len(piece)); ; {
			if _, err := to.Read(buf); err != nil {
				return
			}
		}
	})
	return worker{
		step: func() (int64, error) { n, err := from.Write(piece); return int64(n), err },
		end: func() error {
			err := from.Close()
			reading.Wait()
			return errors.Join(err, to.Close())
		},
	}, nil
}

// madeFiles gives the files of all workers names of their own.
var madeFiles atomic.Int64

// making makes files as careful programs do: under another name first. They stay until the run is over.
func making(dir string, content []byte, synced bool) worker {
	return worker{step: func() (int64, error) {
		p := filepath.Join(dir, fmt.Sprintf("limit-%d", madeFiles.Add(1)))
		f, err := os.Create(p + ".tmp")
		if err != nil {
			return 0, err
		}
		_, err = f.Write(content)
		if err == nil && synced {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Rename(p+".tmp", p)
		}
		return 1, err
	}}
}

// writeAndSync returns bytes for each second until the disk has a file.
func writeAndSync(path string, data []byte) (float64, error) {
	began := time.Now()
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	for done := 0; done < limitFile && err == nil; done += len(data) {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	took := time.Since(began)
	return limitFile / took.Seconds(), errors.Join(err, f.Close(), os.Remove(path))
}

// printLimits writes them as a table.
func printLimits(out io.Writer, limits []limit) error {
	if len(limits) == 0 {
		return nil
	}
	fmt.Fprint(out, "\nWhat this machine can do for each second, as it was during this run:\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "| what\t| unit\t| one thread\t| %d at once\t|\n| ---\t| ---\t| ---\t| ---\t|\n", runtime.NumCPU())
	for _, l := range limits {
		fmt.Fprintf(w, "| %s\t| %s\t| %s\t| %s\t|\n", l.What, l.Unit, figure(l.One), figure(l.All))
	}
	return w.Flush()
}

// figure writes three digits that count; nothing for zero.
func figure(v float64) string {
	switch {
	case v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
