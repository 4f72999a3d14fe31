package mesh

import (
	"fmt"
	"sync"
	"testing"
)

// longRoster returns the statements of a mesh that has lived long: 10 owners and 90 others, a folder per ten statements at first,
// later renames, roles, revocations and epochs, 10,000 in all.
var longRoster = sync.OnceValue(func() [][]byte {
	tb := &testing.B{}
	ann := newMesh(tb, "ann")
	name, err := ann.sealNameNow(ann, []byte("a device"), "name")
	ann.must(err)
	var devices []*Identity
	for i := range 99 {
		id := identity(tb, fmt.Sprintf("device %d", i))
		role := RoleMember
		if i < 9 {
			role = RoleOwner
		}
		ann.must(ann.Admit(ann.Identity, id.Device(), id.HPKEPublic(), fmt.Sprintf("device %d", i), role, ann.tick()))
		devices = append(devices, id)
	}
	for i := 0; ann.Count() < 10_000; i++ {
		id := devices[i%60] // the last 30 are revoked on the way
		switch {
		case i%700 == 699:
			ann.addsFolder(fmt.Sprintf("folder %d", i))
		case i%2400 == 2399:
			gone := devices[60+i/2400]
			ann.must(ann.Revoke(ann.Identity, gone.Device(), journalCuts(gone.Device(), 1, 2, 3), ann.tick(), ann.dice))
		case i%50 == 49:
			ann.must(ann.SetRole(ann.Identity, devices[20+i%40].Device(), RoleMember, nil, ann.tick()))
		default:
			_, err := ann.say(id, rename{device: id.Device(), name: name}, ann.tick())
			ann.must(err)
		}
	}
	return ann.Statements()
})

func filled(tb testing.TB, statements [][]byte) *Roster {
	tb.Helper()
	r := NewRoster()
	for _, raw := range statements {
		if _, err := r.Add(raw); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

func BenchmarkEvaluate10000(b *testing.B) {
	r := filled(b, longRoster())
	b.ReportMetric(float64(r.bytes), "bytes")
	for b.Loop() {
		r.state, r.verdict = nil, nil
		r.State()
	}
}

func BenchmarkAdd10000(b *testing.B) {
	statements := longRoster()
	for b.Loop() {
		filled(b, statements)
	}
}

func BenchmarkFolderKeys(b *testing.B) {
	ann := newMesh(b, "ann")
	f := ann.addsFolder("Photos")
	for b.Loop() {
		_ = ann.keys(f)
	}
}

func BenchmarkSealEnvelope(b *testing.B) {
	id := identity(b, "ann")
	info, root := make([]byte, 100), make([]byte, 32)
	public := id.HPKEPublic()
	for b.Loop() {
		if _, err := sealEnvelope(public, info, root); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluateQuarrel: two owners make as many statements against each other as the limits allow, and neither lets the other's count.
func BenchmarkEvaluateQuarrel(b *testing.B) {
	ann := newMesh(b, "ann")
	bob := ann.admits("bob", RoleOwner)
	for range maxTakersPerSigner - 1 {
		_, err := bob.say(bob, giveRole{taking: taking{device: ann.Device()}, role: RoleMember}, bob.tick())
		bob.must(err)
		_, err = ann.say(ann, giveRole{taking: taking{device: bob.Device()}, role: RoleMember}, ann.tick())
		ann.must(err)
	}
	ann.learn(bob)
	for b.Loop() {
		ann.state, ann.verdict = nil, nil
		ann.State()
	}
}
