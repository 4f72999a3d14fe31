package folder_test

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/disk/disktest"
	"github.com/shoalmesh/shoal/index"
)

// FuzzIntents: whatever the file of intents holds, the folder opens, no file of the user is touched, and the next scan ends.
func FuzzIntents(f *testing.F) {
	w := newWorld(f, disktest.Options{})
	d := w.devices[0]
	write(w, d, "a", "one")
	write(w, d, "dir/b", "two")
	w.must(d.eng.ScanAll(f.Context()))
	w.must(d.fs.User().Mkdir(".shoal/tmp/d"))
	w.must(d.fs.User().WriteFile(".shoal/tmp/x", "temporary"))
	st, err := d.fs.Lstat("a")
	w.must(err)
	f.Add([]byte(nil), []byte(nil))
	for _, p := range []shoal.Path{"a", "dir", "missing", ".shoal/tmp", "../x"} {
		for _, body := range folder.SampleIntents(p, "dir/b", ".shoal/tmp/x", st) {
			f.Add(body, []byte(nil))
		}
	}
	for _, temp := range []string{"a", ".shoal/tmp/d", ".shoal/tmp/../../a"} {
		for _, body := range folder.SampleIntents("a", "", temp, disk.Stat{}) {
			f.Add(body, []byte{1})
		}
	}
	before := d.fs.User().Dump()
	f.Fuzz(func(t *testing.T, body, torn []byte) {
		data := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
		data = append(append(data, body...), torn...)
		c := d.copy(t)
		c.w.must(c.fs.User().WriteFile(".shoal/intents", string(data)))
		if err := c.eng.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := c.fs.User().Dump(); after != before {
			t.Fatalf("the user's files were\n%s\nand are\n%s", before, after)
		}
		c.w.must(c.eng.ScanAll(t.Context()))
		if len(c.texts()) != 2 {
			t.Fatalf("the user has %q", c.names())
		}
	})
}

// copy is a device with a copy of d's disk and database.
func (d *device) copy(t testing.TB) *device {
	t.Helper()
	w := *d.w
	w.t = t
	c := &device{w: &w, id: d.id, fs: d.fs.Clone()}
	w.devices = []*device{c}
	c.db = d.db.Clone(index.Options{Clock: c.clock, Rand: rand.NewChaCha8([32]byte{9})})
	c.start()
	return c
}
