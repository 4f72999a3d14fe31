package conflict

import "testing"

func TestSmoke(t *testing.T) {
	if r := Resolve(nil, nil, false); r.Winner != nil {
		t.Fatal(r)
	}
}
