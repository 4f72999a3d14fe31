package welcome

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzWelcome: what an inviter gives is refused or is a roster and a folder that make sense.
func FuzzWelcome(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(`{"statements":["AAAA"],"folder":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","addresses":{"d":["/ip4/1.2.3.4/tcp/1"]}}`))
	f.Add([]byte(`{"statements":[],"folder":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		w, r, err := Parse(raw)
		if err != nil {
			return
		}
		if r.Count() > len(w.Statements) {
			t.Fatalf("%d statements made of %d", r.Count(), len(w.Statements))
		}
		again, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, back, err := Parse(again); err != nil || back.Count() != r.Count() {
			t.Fatalf("does not survive encoding: %v", err)
		}
	})
}

// FuzzOffer: what a vault tells of itself is refused, or can be used for an admission and encoded again.
func FuzzOffer(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(`{"name":"vera","hpke":"AAEC"}`))
	f.Add([]byte(`{"name":"vera","hpke":"AAEC"} {}`))
	f.Add([]byte(`{"name":"","hpke":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := ParseOffer(raw)
		if err != nil {
			return
		}
		if o.Name == "" || len(o.HPKE) == 0 || len(o.HPKE) > maxHPKE || strings.ContainsAny(o.Name, "\n\x1b") {
			t.Fatalf("%q is accepted: %+v", raw, o)
		}
		again, err := json.Marshal(&o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseOffer(again); err != nil && len(again) <= MaxOffer {
			t.Fatalf("does not survive encoding: %v", err)
		}
	})
}
