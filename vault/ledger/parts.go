package ledger

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shoalmesh/shoal/index"
)

// PartWriter writes a stream into parts. They are garbage until an entry or the anchor names them.
type PartWriter struct {
	log  *Log
	put  func(data []byte) (PartRef, error)
	held []byte
	refs []PartRef
}

// NewPartWriter begins a stream. ctx is that of all its requests.
func (l *Log) NewPartWriter(ctx context.Context) *PartWriter {
	return &PartWriter{log: l, put: func(data []byte) (PartRef, error) { return l.PutPart(ctx, data) }, held: make([]byte, 0, 64<<10)}
}

// Write implements io.Writer.
func (w *PartWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), MaxPart-len(w.held))
		w.held = append(w.held, p[:n]...)
		p, written = p[n:], written+n
		if len(w.held) == MaxPart {
			if err := w.flush(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (w *PartWriter) flush() error {
	if len(w.held) == 0 {
		return nil
	}
	if len(w.refs) == MaxParts {
		return fmt.Errorf("more than %d parts: %w", MaxParts, ErrMalformed)
	}
	ref, err := w.put(w.held)
	if err != nil {
		return err
	}
	w.refs, w.held = append(w.refs, ref), w.held[:0]
	return nil
}

// Finish writes what is left and returns the names of all.
func (w *PartWriter) Finish() ([]PartRef, error) {
	err := w.flush()
	return w.refs, err
}

// Drop removes the parts that were written, of a stream that nobody will name.
func (w *PartWriter) Drop(ctx context.Context) error { return w.log.RemoveParts(ctx, w.refs) }

// RemoveParts removes parts.
func (l *Log) RemoveParts(ctx context.Context, refs []PartRef) error {
	var errs []error
	for _, r := range refs {
		errs = append(errs, l.objects.Delete(ctx, l.partKey(r.Name)))
	}
	return errors.Join(errs...)
}

// PartReader reads a stream that a PartWriter wrote.
type PartReader struct {
	get  func(PartRef) ([]byte, error)
	refs []PartRef
	held []byte
}

// NewPartReader begins to read a stream. ctx is that of all its requests.
func (l *Log) NewPartReader(ctx context.Context, refs []PartRef) *PartReader {
	return &PartReader{get: func(ref PartRef) ([]byte, error) { return l.Part(ctx, ref) }, refs: refs}
}

// Read implements io.Reader.
func (r *PartReader) Read(p []byte) (int, error) {
	for len(r.held) == 0 {
		if len(r.refs) == 0 {
			return 0, io.EOF
		}
		data, err := r.get(r.refs[0])
		if err != nil {
			return 0, err
		}
		r.held, r.refs = data, r.refs[1:]
	}
	n := copy(p, r.held)
	r.held = r.held[n:]
	return n, nil
}

// Bucket is a bucket of a journal, as package index has it.
type Bucket struct {
	N       uint64
	Records [][]byte
}

// WriteDigests begins the stream of a transfer: all digests of the journal at its head.
func WriteDigests(w io.Writer, list []index.BucketDigest) error {
	if len(list) > MaxDigests {
		return fmt.Errorf("%d buckets: %w", len(list), ErrMalformed)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(list)))
	for i := range list {
		b = append(binary.BigEndian.AppendUint64(b, list[i].N), list[i].Digest[:]...)
	}
	_, err := w.Write(b)
	return err
}

// WriteBucket goes on with a bucket.
func WriteBucket(w io.Writer, bucket Bucket) error {
	b := binary.BigEndian.AppendUint64(nil, bucket.N)
	b = binary.BigEndian.AppendUint32(b, uint32(len(bucket.Records)))
	for _, r := range bucket.Records {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(r))), r...)
	}
	_, err := w.Write(b)
	return err
}

// TransferReader reads the stream of a transfer.
type TransferReader struct {
	Digests []index.BucketDigest
	r       *bufio.Reader
}

// ReadTransfer reads the digests that a stream begins with. Error: ErrMalformed, or the stream's.
func ReadTransfer(r io.Reader) (*TransferReader, error) {
	t := &TransferReader{r: bufio.NewReader(r)}
	var head [4]byte
	if err := t.full(head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxDigests {
		return nil, fmt.Errorf("%d buckets: %w", n, ErrMalformed)
	}
	for range n {
		var one [40]byte
		if err := t.full(one[:]); err != nil {
			return nil, err
		}
		t.Digests = append(t.Digests, index.BucketDigest{N: binary.BigEndian.Uint64(one[:]), Digest: [32]byte(one[8:])})
	}
	return t, nil
}

// full reads all of p; a stream that ends before is malformed.
func (t *TransferReader) full(p []byte) error {
	_, err := io.ReadFull(t.r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("stream that ends too early: %w", ErrMalformed)
	}
	return err
}

// maxBucketBytes bounds the records of one bucket.
const maxBucketBytes = 64 << 20

// Next returns the next bucket. Errors: io.EOF at the end; ErrMalformed, or the stream's.
func (t *TransferReader) Next() (b Bucket, err error) {
	if _, err := t.r.Peek(1); err != nil {
		return b, err
	}
	var head [12]byte
	if err := t.full(head[:]); err != nil {
		return b, err
	}
	b.N = binary.BigEndian.Uint64(head[:])
	n := binary.BigEndian.Uint32(head[8:])
	if n > index.BucketSize {
		return b, fmt.Errorf("bucket of %d records: %w", n, ErrMalformed)
	}
	total := 0
	for range n {
		var size [4]byte
		if err := t.full(size[:]); err != nil {
			return b, err
		}
		length := binary.BigEndian.Uint32(size[:])
		total += int(length)
		if length == 0 || length > MaxRecord || total > maxBucketBytes {
			return b, fmt.Errorf("record of %d bytes: %w", length, ErrMalformed)
		}
		record, err := io.ReadAll(io.LimitReader(t.r, int64(length))) // memory as it comes, not as it is announced
		if err != nil {
			return b, err
		}
		if len(record) != int(length) {
			return b, fmt.Errorf("stream that ends too early: %w", ErrMalformed)
		}
		b.Records = append(b.Records, record)
	}
	return b, nil
}
