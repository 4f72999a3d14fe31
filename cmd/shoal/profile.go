package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profileVariable names the environment variable that makes `up` write profiles into a folder, for `make profile`.
const profileVariable = "SHOAL_PROFILE"

// startProfile begins to profile the processor into dir; the function that it returns ends that and writes what else is of interest. An empty dir does nothing.
func startProfile(dir string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	cpu, err := os.Create(filepath.Join(dir, fmt.Sprintf("cpu.%d.pprof", os.Getpid())))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", profileVariable, err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", profileVariable, err), cpu.Close())
	}
	runtime.SetBlockProfileRate(100_000)
	return func() error {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, kind := range []string{"heap", "allocs", "block"} {
			errs = append(errs, writeProfile(kind, filepath.Join(dir, fmt.Sprintf("%s.%d.pprof", kind, os.Getpid()))))
		}
		return errors.Join(errs...)
	}, nil
}

func writeProfile(kind, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
}
