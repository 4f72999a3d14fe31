package index

import (
	"errors"
	"runtime"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestLongListsTakeNoMemory: what a few bytes say must not take a hundred times as many when it is decoded.
func TestLongListsTakeNoMemory(t *testing.T) {
	repeated := func(field protowire.Number, size int) []byte {
		var body []byte
		for len(body)+100 < size {
			body = protowire.AppendBytes(protowire.AppendTag(body, field, protowire.BytesType), nil)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), body)
	}
	status := func(raw []byte) error { _, err := DecodeStatus(raw); return err }
	head := func(raw []byte) error { _, err := DecodeHead(raw); return err }
	for _, list := range []struct {
		name   string
		raw    []byte
		decode func([]byte) error
	}{
		{"received", repeated(statusReceived, MaxStatusBytes), status},
		{"applied", repeated(statusApplied, MaxStatusBytes), status},
		{"others", repeated(headOthers, MaxHeadBytes), head},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := list.decode(list.raw)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", list.name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(2*len(list.raw)) { // the decoder copies the body
			t.Errorf("%s took %d KiB", list.name, took>>10)
		}
	}
}
