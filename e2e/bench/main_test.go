//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWordsBehindTheFlagsChooseWorkloadsThatBeginWithThem(t *testing.T) {
	for _, row := range []struct {
		args []string
		want []string // nil: refused
	}{
		{[]string{"vault"}, []string{"vaultgo", "vaulttext"}},
		{[]string{"-size", "8", "vaulttext"}, []string{"vaulttext"}},
		{[]string{"-only", "bigfile", "vaultgo"}, []string{"bigfile", "vaultgo"}},
		{[]string{"-only", "vaultgo"}, []string{"vaultgo"}},
		{[]string{"vaults"}, nil},
		{[]string{"-only", "vault"}, nil},
	} {
		c, err := parse(row.args)
		if (err != nil) != (row.want == nil) {
			t.Errorf("%q: %v", row.args, err)
			continue
		}
		var names []string
		for _, w := range chooseWorkloads(c) {
			names = append(names, w.name)
		}
		if err == nil && !slices.Equal(names, row.want) {
			t.Errorf("%q: %q, want %q", row.args, names, row.want)
		}
	}
}

func TestOnlySoManyFilesAreLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b/c", "b/d", "e"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := leaveFirst(dir, 2); err != nil {
		t.Fatal(err)
	}
	kept, err := measureStore(dir)
	if err != nil || kept.bytes != 2 {
		t.Errorf("%+v, %v", kept, err)
	}
}

func TestLimitsAreMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("seconds")
	}
	dir := t.TempDir()
	limits, err := measureLimits(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(limits) != 7 {
		t.Errorf("%d limits", len(limits))
	}
	for _, l := range limits {
		if l.One <= 0 || l.What == "" || l.Unit == "" {
			t.Errorf("%+v", l)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "limit")); !os.IsNotExist(err) {
		t.Errorf("the big file is left: %v", err)
	}
}
