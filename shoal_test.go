package shoal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/shoalmesh/shoal"
	"pgregory.net/rapid"
)

// A device of the libp2p peer ID specification: its test vector for an Ed25519 public key, and the peer ID that go-libp2p
// prints for it.
var (
	knownDevice = shoal.DeviceID{
		0x1e, 0xd1, 0xe8, 0xfa, 0xe2, 0xc4, 0xa1, 0x44, 0xb8, 0xbe, 0x8f, 0xd4, 0xb4, 0x7b, 0xf3, 0xd3,
		0xb3, 0x4b, 0x87, 0x1c, 0x3c, 0xac, 0xf6, 0x01, 0x0f, 0x0e, 0x42, 0xd4, 0x74, 0xfc, 0xe2, 0x7e,
	}
	knownPeerID = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
)

func deviceIDs() *rapid.Generator[shoal.DeviceID] {
	return rapid.Custom(func(t *rapid.T) shoal.DeviceID {
		d := shoal.DeviceID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "device"))
		d[31] |= 1 // the zero value is invalid
		return d
	})
}

func journalIDs() *rapid.Generator[shoal.JournalID] {
	return rapid.Custom(func(t *rapid.T) shoal.JournalID {
		return shoal.JournalID{Device: deviceIDs().Draw(t, "device"), Nonce: rapid.Uint64().Draw(t, "nonce")}
	})
}

func TestDeviceIDIsTheLibp2pPeerID(t *testing.T) {
	if got := knownDevice.String(); got != knownPeerID {
		t.Errorf("prints %s, want %s", got, knownPeerID)
	}
	got, err := shoal.ParseDeviceID(knownPeerID)
	if err != nil || got != knownDevice {
		t.Errorf("parses as %x, %v", got, err)
	}
	if got := knownDevice.Short(); got != knownPeerID[len(knownPeerID)-6:] {
		t.Errorf("short form is %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	device := func(s string) error { _, err := shoal.ParseDeviceID(s); return err }
	journal := func(s string) error { _, err := shoal.ParseJournalID(s); return err }
	folder := func(s string) error { _, err := shoal.ParseFolderID(s); return err }
	zero := shoal.DeviceID{}.String()
	tests := []struct {
		name  string
		parse func(string) error
		text  string
	}{
		{"an empty device ID", device, ""},
		{"the zero device ID", device, zero},
		{"a device ID with a digit that base58 lacks", device, strings.Replace(knownPeerID, "K", "0", 1)},
		{"a device ID that was cut", device, knownPeerID[:51]},
		{"a device ID with more behind it", device, knownPeerID + "1"},
		{"a device ID in spaces", device, " " + knownPeerID},
		{"a peer ID of another kind of key", device, "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"},
		{"a device ID of enormous length", device, strings.Repeat("1", 1<<20)},
		{"a journal ID without a nonce", journal, knownPeerID},
		{"a journal ID with a short nonce", journal, knownPeerID + ".1"},
		{"a journal ID with a signed nonce", journal, knownPeerID + ".+00000000000000f"},
		{"a journal ID with two nonces", journal, knownPeerID + ".0000000000000001.0000000000000001"},
		{"a journal ID of the zero device", journal, zero + ".0000000000000001"},
		{"a journal ID of no device", journal, ".0000000000000001"},
		{"an empty folder ID", folder, ""},
		{"a short folder ID", folder, "00ff"},
		{"a folder ID that is not hex", folder, strings.Repeat("g", 32)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse(tt.text); !errors.Is(err, shoal.ErrInvalid) {
				t.Errorf("gives %v", err)
			}
		})
	}
}

func TestTextFormsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := journalIDs().Draw(t, "journal")
		if got, err := shoal.ParseDeviceID(j.Device.String()); err != nil || got != j.Device {
			t.Fatalf("%s comes back as %v, %v", j.Device, got, err)
		}
		if got, err := shoal.ParseJournalID(j.String()); err != nil || got != j {
			t.Fatalf("%s comes back as %v, %v", j, got, err)
		}
		if got, err := shoal.JournalIDFromBytes(j.Bytes()); err != nil || got != j {
			t.Fatalf("the bytes of %s come back as %v, %v", j, got, err)
		}
		f := shoal.FolderID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "folder"))
		f[0] |= 1
		if got, err := shoal.ParseFolderID(f.String()); err != nil || got != f {
			t.Fatalf("%s comes back as %v, %v", f, got, err)
		}
	})
}

func TestJournalIDsSortAsTheirBytesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := journalIDs().Draw(t, "a"), journalIDs().Draw(t, "b")
		if rapid.Bool().Draw(t, "same device") {
			b.Device = a.Device
		}
		if got, want := a.Compare(b), bytes.Compare(a.Bytes(), b.Bytes()); got != want {
			t.Fatalf("%s against %s: %d, by bytes %d", a, b, got, want)
		}
	})
}

func TestJournalIDFromBytesRefuses(t *testing.T) {
	good := shoal.JournalID{Device: knownDevice, Nonce: 7}.Bytes()
	for name, b := range map[string][]byte{
		"nothing": nil, "a short form": good[:39], "a long form": append(bytes.Clone(good), 0), "the zero device": make([]byte, 40),
	} {
		if _, err := shoal.JournalIDFromBytes(b); !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func TestDots(t *testing.T) {
	j := shoal.JournalID{Device: knownDevice, Nonce: 7}
	low, high := shoal.Dot{Journal: j, Seq: 1}, shoal.Dot{Journal: j, Seq: 2}
	if low.Compare(high) >= 0 || high.Compare(low) <= 0 || low.Compare(low) != 0 {
		t.Error("dots of one journal do not sort by seq")
	}
	later := shoal.Dot{Journal: shoal.JournalID{Device: knownDevice, Nonce: 8}, Seq: 1}
	if high.Compare(later) >= 0 {
		t.Error("dots do not sort by journal first")
	}
	if !(shoal.Dot{Journal: j}).IsZero() || low.IsZero() {
		t.Error("exactly the dots with seq 0 are zero")
	}
	if got, want := high.String(), knownPeerID+".0000000000000007:2"; got != want {
		t.Errorf("prints %s, want %s", got, want)
	}
}

func TestZeroIDsAreInvalid(t *testing.T) {
	for name, err := range map[string]error{
		"device": shoal.DeviceID{}.Validate(), "folder": shoal.FolderID{}.Validate(), "journal": shoal.JournalID{Nonce: 1}.Validate(), "kind": shoal.Kind(0).Validate(),
	} {
		if !errors.Is(err, shoal.ErrInvalid) {
			t.Errorf("zero %s gives %v", name, err)
		}
	}
}

func FuzzParseDeviceID(f *testing.F) {
	for _, s := range []string{knownPeerID, "", "1", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", shoal.DeviceID{}.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := shoal.ParseDeviceID(s)
		if err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("%q gives %v", s, err)
			}
			return
		}
		if d.Validate() != nil || d.String() != s {
			t.Fatalf("%q is accepted and prints %q", s, d)
		}
	})
}

func FuzzParseJournalID(f *testing.F) {
	for _, s := range []string{knownPeerID + ".0000000000000007", knownPeerID, ".", knownPeerID + ".-000000000000007", knownPeerID + ".000000000000000A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j, err := shoal.ParseJournalID(s)
		if err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("%q gives %v", s, err)
			}
			return
		}
		if j.Validate() != nil || j.String() != s {
			t.Fatalf("%q is accepted and prints %q", s, j)
		}
	})
}

func FuzzParseFolderID(f *testing.F) {
	for _, s := range []string{"", strings.Repeat("0", 32), strings.Repeat("0a", 16), strings.Repeat("0A", 16), strings.Repeat("0g", 16)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := shoal.ParseFolderID(s)
		if err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("%q gives %v", s, err)
			}
			return
		}
		if id.Validate() != nil || id.String() != s {
			t.Fatalf("%q is accepted and prints %q", s, id)
		}
	})
}

func FuzzJournalIDFromBytes(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(make([]byte, 40))
	f.Add(shoal.JournalID{Device: knownDevice, Nonce: 7}.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		j, err := shoal.JournalIDFromBytes(raw)
		if err != nil {
			if !errors.Is(err, shoal.ErrInvalid) {
				t.Fatalf("%x gives %v", raw, err)
			}
			return
		}
		if j.Validate() != nil || !bytes.Equal(j.Bytes(), raw) {
			t.Fatalf("%x is accepted and is %x", raw, j.Bytes())
		}
	})
}
