package index

import (
	"testing"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
)

func TestBaseDiffersByWhatIsState(t *testing.T) {
	base := func(k shoal.Kind) *Base {
		return &Base{Kind: k, Mode: 0o644, MTime: 5, Content: block.ContentID{1}, Target: "t", Version: conflict.Version{{Journal: testOwn, Seq: 1}}}
	}
	state := func(k shoal.Kind, change func(*State)) *State {
		b := base(k)
		s := &State{Kind: k, Mode: b.Mode, MTime: b.MTime, Content: b.Content, Target: b.Target, Version: b.Version}
		change(s)
		return s
	}
	copied := base(shoal.KindFile)
	copied.Copy = &CopyOf{Of: "x", Record: shoal.Dot{Journal: testOwn, Seq: 1}}
	for name, c := range map[string]struct {
		base *Base
		want *State
		owed bool
	}{
		"Nothing":              {nil, nil, false},
		"NothingOnDisk":        {nil, state(shoal.KindFile, func(*State) {}), true},
		"NothingWanted":        {base(shoal.KindFile), nil, true},
		"Equal":                {base(shoal.KindFile), state(shoal.KindFile, func(*State) {}), false},
		"Kind":                 {base(shoal.KindFile), state(shoal.KindFolder, func(*State) {}), true},
		"Version":              {base(shoal.KindFile), state(shoal.KindFile, func(s *State) { s.Version = nil }), true},
		"Content":              {base(shoal.KindFile), state(shoal.KindFile, func(s *State) { s.Content[0]++ }), true},
		"Mode":                 {base(shoal.KindFile), state(shoal.KindFile, func(s *State) { s.Mode++ }), true},
		"Time":                 {base(shoal.KindFile), state(shoal.KindFile, func(s *State) { s.MTime++ }), true},
		"ModeOfAFolder":        {base(shoal.KindFolder), state(shoal.KindFolder, func(s *State) { s.Mode++ }), true},
		"TimeOfAFolder":        {base(shoal.KindFolder), state(shoal.KindFolder, func(s *State) { s.MTime++ }), false},
		"TargetOfASymlink":     {base(shoal.KindSymlink), state(shoal.KindSymlink, func(s *State) { s.Target = "u" }), true},
		"ModeOfASymlink":       {base(shoal.KindSymlink), state(shoal.KindSymlink, func(s *State) { s.Mode++ }), false},
		"ACopyThatBecameAFile": {copied, state(shoal.KindFile, func(*State) {}), true},
		"TheSameCopy":          {copied, state(shoal.KindFile, func(s *State) { s.Copy = &CopyOf{Of: "x", Record: copied.Copy.Record} }), false},
		"ACopyOfSomethingElse": {copied, state(shoal.KindFile, func(s *State) { s.Copy = &CopyOf{Of: "y", Record: copied.Copy.Record} }), true},
	} {
		if got := c.base.Differs(c.want); got != c.owed {
			t.Errorf("%s: %v", name, got)
		}
	}
}
