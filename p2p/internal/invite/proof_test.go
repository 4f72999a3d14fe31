package invite

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/mesh"
	"github.com/shoalmesh/shoal/p2p/internal/wire"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

func someProof() *Proof {
	return &Proof{
		Guest: shoal.DeviceID{1}, Inviter: shoal.DeviceID{2}, Mesh: shoal.MeshID{3}, Role: mesh.RoleMember,
		Begin: &wire.Begin{Nameplate: 7, Pake: []byte("A")}, OfferPake: []byte("B"), GuestInfo: []byte("me"), Key: []byte("key"),
	}
}

func TestProofBindsEverything(t *testing.T) {
	t.Parallel()
	honest := someProof()
	for name, change := range map[string]func(*Proof){
		"guest":      func(p *Proof) { p.Guest[5]++ },
		"inviter":    func(p *Proof) { p.Inviter[5]++ },
		"mesh":       func(p *Proof) { p.Mesh[5]++ },
		"role":       func(p *Proof) { p.Role = mesh.RoleOwner },
		"nameplate":  func(p *Proof) { p.Begin.Nameplate++ },
		"invite":     func(p *Proof) { p.Begin.Invite = []byte{1} },
		"first pake": func(p *Proof) { p.Begin.Pake = []byte("C") },
		"other pake": func(p *Proof) { p.OfferPake = []byte("C") },
		"guest info": func(p *Proof) { p.GuestInfo = []byte("you") },
		"key":        func(p *Proof) { p.Key = []byte("kez") },
		"a border":   func(p *Proof) { p.Begin.Pake, p.OfferPake = []byte("AB"), nil },
	} {
		p := someProof()
		change(p)
		if honest.Confirms(ByGuest, p.Confirmation(ByGuest)) || honest.Confirms(ByInviter, p.Confirmation(ByInviter)) {
			t.Errorf("%s can be exchanged", name)
		}
	}
	if !honest.Confirms(ByGuest, someProof().Confirmation(ByGuest)) {
		t.Error("an honest proof is refused")
	}
	if honest.Confirms(ByInviter, honest.Confirmation(ByGuest)) {
		t.Error("the guest's proof can be sent back to it")
	}
	if honest.Confirms(ByGuest, nil) {
		t.Error("no proof is a proof")
	}
}

func TestOnlyEqualWordsGiveEqualKeys(t *testing.T) {
	t.Parallel()
	guest, inviter := shoal.DeviceID{1}, shoal.DeviceID{2}
	run := func(a, b Code, guestThere shoal.DeviceID) bool {
		msg, finish, err := StartPake(a, guest, inviter)
		if err != nil {
			t.Fatal(err)
		}
		answer, there, err := AnswerPake(b, guestThere, inviter, msg)
		if err != nil {
			t.Fatal(err)
		}
		here, err := finish(answer)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Equal(here, there)
	}
	right := Code{Plate: 7, Words: "abandon-ability"}
	if !run(right, right, guest) {
		t.Error("equal words give different keys")
	}
	if run(right, Code{Plate: 7, Words: "ability-abandon"}, guest) {
		t.Error("other words give the same key")
	}
	if run(right, Code{Plate: 8, Words: right.Words}, guest) {
		t.Error("another nameplate gives the same key")
	}
	if run(right, right, shoal.DeviceID{3}) {
		t.Error("another device gets the same key")
	}
	if _, _, err := AnswerPake(right, guest, inviter, []byte("short")); err == nil {
		t.Error("a broken message is answered")
	}
	_, finish, err := StartPake(right, guest, inviter)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := finish(make([]byte, 31)); err == nil {
		t.Error("a broken answer is taken")
	}
}

// TestGoldenConfirmations reads testdata/confirmations.txt: side, and the proof of someProof for it.
func TestGoldenConfirmations(t *testing.T) {
	t.Parallel()
	sides := map[string]Side{"guest": ByGuest, "inviter": ByInviter}
	forEachLine(t, "testdata/confirmations.txt", func(t *testing.T, f []string) {
		if got := hex.EncodeToString(someProof().Confirmation(sides[f[0]])); got != f[1] {
			t.Errorf("%s: %s, want %s", f[0], got, f[1])
		}
	})
}
