//go:build linux

package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// Random returns a stream of bytes that do not compress and are the same for the same seed.
func Random(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// RandomFile writes a file of size bytes, in place if it exists.
func RandomFile(name string, size int64, seed uint64) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, Random(seed), size); err != nil {
		return err
	}
	return w.Flush()
}

// filesPerFolder is how many small files stand in a folder.
const filesPerFolder = 100

// SmallFiles writes n files of least to most bytes into folders below root.
func SmallFiles(root string, n int, least, most int64, seed uint64) error {
	source := Random(seed)
	sizes := rand.New(rand.NewPCG(seed, seed))
	buf := make([]byte, most)
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("folder%03d", i/filesPerFolder))
		if i%filesPerFolder == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		content := buf[:least+sizes.Int64N(most-least+1)]
		if _, err := io.ReadFull(source, content); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%05d.dat", i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Overwrite writes size random bytes into a file that is there, from an offset on.
func Overwrite(name string, offset, size int64, seed uint64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(f, offset), io.LimitReader(Random(seed), size))
	return errors.Join(err, f.Close())
}

// CopyFile copies the content of a file.
func CopyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// CopyTree copies what is in from into the folder to, with everything that the file system knows of it.
func CopyTree(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	out, err := exec.Command("cp", "-a", "--", from+"/.", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w\n%s", from, err, out)
	}
	return nil
}
