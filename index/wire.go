package index

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// wireField is one field of a protobuf message.
type wireField struct {
	number protowire.Number
	value  uint64 // of varint and fixed64 fields
	data   []byte // of length-delimited fields; part of the message
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// eachField calls fn for each field of a message, in order. Types other than varint, fixed64 and bytes are malformed.
func eachField(data []byte, fn func(wireField) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return malformed("field: %v", protowire.ParseError(n))
		}
		data = data[n:]
		f := wireField{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(data)
		case protowire.Fixed64Type:
			f.value, n = protowire.ConsumeFixed64(data)
		case protowire.BytesType:
			f.data, n = protowire.ConsumeBytes(data)
		default:
			return malformed("field %d of type %d", number, kind)
		}
		if n < 0 {
			return malformed("field %d: %v", number, protowire.ParseError(n))
		}
		data = data[n:]
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// checkCounts refuses a message with a list that is too long before memory is taken for its elements: an empty one takes two bytes in the
// message and a hundred when it was decoded. What cannot be parsed is left to the decoder, which comes no further than this.
func checkCounts(data []byte, longest map[protowire.Number]int) error {
	counts := make(map[protowire.Number]int, len(longest))
	for len(data) > 0 {
		number, _, n := protowire.ConsumeField(data)
		if n < 0 {
			return nil
		}
		data = data[n:]
		most, bounded := longest[number]
		if !bounded {
			continue
		}
		if counts[number]++; counts[number] > most {
			return malformed("more than %d elements in field %d", most, number)
		}
	}
	return nil
}

func (f *wireField) uint32() (uint32, error) {
	if f.value > math.MaxUint32 {
		return 0, malformed("field %d is %d", f.number, f.value)
	}
	return uint32(f.value), nil
}

func (f *wireField) kind() (shoal.Kind, error) {
	if f.value > math.MaxUint8 {
		return 0, malformed("kind %d", f.value)
	}
	return shoal.Kind(f.value), nil
}

func array32[T ~[32]byte](f wireField) (out T, err error) {
	if len(f.data) != len(out) {
		return out, malformed("field %d of %d bytes", f.number, len(f.data))
	}
	return T(f.data), nil
}

// maxTable bounds the tables of epochs in a record.
const maxTable = 10_000

func appendArray32[T ~[32]byte](list []T, f wireField) ([]T, error) {
	v, err := array32[T](f)
	if err == nil && len(list) >= maxTable {
		err = malformed("field %d more than %d times", f.number, maxTable)
	}
	return append(list, v), err
}

func (f *wireField) journal(list []shoal.JournalID, most int) ([]shoal.JournalID, error) {
	j, err := shoal.JournalIDFromBytes(f.data)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if len(list) >= most {
		return nil, malformed("field %d more than %d times", f.number, most)
	}
	return append(list, j), nil
}

// packed appends the numbers of a packed list.
func (f *wireField) packed(list []uint64, most int) ([]uint64, error) {
	for data := f.data; len(data) > 0; {
		v, n := protowire.ConsumeVarint(data)
		if n < 0 || len(list) >= most {
			return nil, malformed("field %d: list of numbers", f.number)
		}
		list = append(list, v)
		data = data[n:]
	}
	return list, nil
}

// recipe reads a recipe of at least one block.
func (f *wireField) recipe(most int) (block.Recipe, error) {
	if len(f.data) > 1+36*most {
		return nil, malformed("recipe of %d bytes", len(f.data))
	}
	r, err := block.DecodeRecipe(f.data)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if len(r) == 0 {
		return nil, malformed("empty recipe")
	}
	return r, nil
}
