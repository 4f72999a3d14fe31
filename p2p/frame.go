package p2p

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// smallFrame is the size up to which a frame's length and content are joined for one Write; beyond it a copy costs more
// than a second Write.
const smallFrame = 64 << 10

// WriteFrame writes one frame whose content is the parts, one after the other: the total length as an unsigned varint
// and then the bytes. Frames of up to 64 KiB go out in one Write. It keeps no reference to the parts. After an error an
// unknown part of the frame may have been sent: reset the stream.
func WriteFrame(w io.Writer, parts ...[]byte) error {
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	if total <= smallFrame {
		buf := binary.AppendUvarint(make([]byte, 0, total+binary.MaxVarintLen64), uint64(total))
		for _, p := range parts {
			buf = append(buf, p...)
		}
		_, err := w.Write(buf)
		return err
	}
	var head [binary.MaxVarintLen64]byte
	if _, err := w.Write(head[:binary.PutUvarint(head[:], uint64(total))]); err != nil {
		return err
	}
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// ReadFrame reads one frame of at most max bytes and returns its content, which belongs to the caller. Outcomes:
//
//   - io.EOF: the stream ended before the first byte of a frame;
//   - io.ErrUnexpectedEOF: it ended inside one;
//   - ErrFrameTooLarge: the announced length is above max; nothing was allocated;
//   - ErrMalformedFrame: the length is not a canonical varint;
//   - any error of r.
//
// It reads not one byte beyond the frame. A reader that is an io.ByteReader (bufio.Reader) saves small reads.
func ReadFrame(r io.Reader, max int) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(max) {
		return nil, fmt.Errorf("%d bytes where %d are allowed: %w", n, max, ErrFrameTooLarge)
	}
	// Memory grows with what has arrived, so that a length alone costs the sender nothing and us little.
	buf := make([]byte, min(int(n), smallFrame))
	for have := 0; ; {
		m, err := io.ReadFull(r, buf[have:])
		have += m
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if have == int(n) {
			return buf, nil
		}
		next := make([]byte, min(int(n), 4*len(buf)))
		copy(next, buf)
		buf = next
	}
}

// readLength reads a canonical unsigned varint byte by byte.
func readLength(r io.Reader) (uint64, error) {
	br, ok := r.(io.ByteReader)
	if !ok {
		br = &oneByte{r: r}
	}
	var n uint64
	for shift := uint(0); shift < 63; shift += 7 {
		b, err := br.ReadByte()
		if err != nil {
			if shift > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 {
				return 0, ErrMalformedFrame
			}
			return n, nil
		}
	}
	return 0, ErrMalformedFrame
}

var _ io.ByteReader = (*bufio.Reader)(nil)

// oneByte makes an io.ByteReader of a reader without reading ahead.
type oneByte struct {
	r   io.Reader
	buf [1]byte
}

func (o *oneByte) ReadByte() (byte, error) {
	_, err := io.ReadFull(o.r, o.buf[:])
	return o.buf[0], err
}
