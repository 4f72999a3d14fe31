package indexexchange

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/shoalmesh/shoal/index"
)

// list is a list in a body of the .proto: the numbers of the body and of the field.
type list struct{ body, field protowire.Number }

// Of what has no limit of its own, no element is smaller than this many bytes, so a message that is no longer than it may be has no more.
const (
	leastRecord    = 64 // also of a roster statement
	leastDigest    = 36
	maxListRecords = maxBatchBytes / leastRecord
	maxListDigests = MaxMessage / leastDigest
)

// longest says how many elements a list may have, and what they are called.
var longest = map[list]struct {
	max  int
	what string
}{
	{1, 1}:  {maxHeads, "roster heads"},
	{2, 1}:  {maxListRecords, "statements"},
	{3, 2}:  {maxPositions, "positions"},
	{5, 5}:  {maxListRecords, "records"},
	{5, 7}:  {maxSmallRecords, "small blocks"},
	{6, 4}:  {maxListDigests, "digests"},
	{7, 3}:  {maxAskBuckets, "buckets"},
	{8, 4}:  {index.BucketSize, "records in a bucket"},
	{10, 2}: {maxStatuses, "statuses"},
}

// checkCounts refuses lists that are too long before memory is taken for them: an element that is empty takes two bytes on the wire and a
// hundred when it was decoded. What cannot be parsed is left to the decoder, which comes no further than this.
func checkCounts(raw []byte) error {
	bodies := 0
	return eachBytes(raw, func(body protowire.Number, data []byte) error {
		if body > 10 {
			return nil
		}
		if bodies++; bodies > 1 {
			return errWire("message with more than one body")
		}
		counts := make(map[protowire.Number]int)
		return eachBytes(data, func(field protowire.Number, _ []byte) error {
			l, bounded := longest[list{body, field}]
			if !bounded {
				return nil
			}
			if counts[field]++; counts[field] > l.max {
				return errWire("more than %d %s", l.max, l.what)
			}
			return nil
		})
	})
}

// eachBytes calls fn for the length-delimited fields of a message, up to its end or to where it cannot be parsed.
func eachBytes(raw []byte, fn func(protowire.Number, []byte) error) error {
	for len(raw) > 0 {
		number, kind, tag := protowire.ConsumeTag(raw)
		if tag < 0 {
			return nil
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[tag:])
		if size < 0 {
			return nil
		}
		if kind == protowire.BytesType {
			data, _ := protowire.ConsumeBytes(raw[tag:])
			if err := fn(number, data); err != nil {
				return err
			}
		}
		raw = raw[tag+size:]
	}
	return nil
}
