package conflict_test

import (
	"fmt"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/conflict"
)

// The laptop edits a file at noon; the phone, which has not seen that, edits it an hour later. Both had seen the desktop's
// first record.
func Example() {
	by := func(device byte, seq shoal.Seq) shoal.Dot {
		return shoal.Dot{Journal: shoal.JournalID{Device: shoal.DeviceID{device}}, Seq: seq}
	}
	names := map[shoal.DeviceID]string{{1}: "desktop", {2}: "laptop", {3}: "phone"}
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	first := conflict.Version{by(1, 1)}

	r := conflict.Resolve([]conflict.Sibling{
		{Record: by(1, 1), Version: first, Kind: shoal.KindFile, Content: [32]byte{10}},
		{Record: by(2, 1), Version: first.With(by(2, 1)), Kind: shoal.KindFile, Content: [32]byte{20}, Time: noon.UnixNano()},
		{Record: by(3, 1), Version: first.With(by(3, 1)), Kind: shoal.KindFile, Content: [32]byte{30}, Time: noon.Add(time.Hour).UnixNano()},
	}, nil, false)

	free := func(string) bool { return false }
	fmt.Println("plan.txt is the edit by", names[r.Winner.Record.Journal.Device])
	for _, l := range r.Losers {
		digest := [32]byte{0xa1, 0xb2}
		fmt.Println(conflict.CopyName("plan.txt", names[l.Record.Journal.Device], time.Unix(0, l.Time), digest, free))
	}
	// Output:
	// plan.txt is the edit by phone
	// plan (conflict laptop 2026-11-22 12.00.00 a1b2).txt
}
