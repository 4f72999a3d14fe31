package simulation

import "testing"

// Whenever the power goes while a file is replaced, it is the old one or the new one afterwards, and the old one is never taken for a user's answer.
func TestThePowerMayGoAnywhereInASwap(t *testing.T) {
	chances := uint64(3)
	if testing.Short() || raceEnabled {
		chances = 1
	}
	for at := range 20 {
		for seed := range chances {
			s := newScript(t, "f")
			s.write(s.b, "f", "b")
			s.look(s.b)
			s.talk()
			s.r = random(seed, 0)
			s.a.crashAt = 1 + at
			s.work(s.a)
			s.join()
			s.look(s.a)
			s.rest()
			s.is("f=b")
			if t.Failed() {
				t.Fatalf("the power went before operation %d, chance %d", 1+at, seed)
			}
		}
	}
}

// What is set in place must be durable before the base says so: else the power takes it back, and the old mode is recorded as if a user had chosen it.
func TestAPowerCutIsNoChangeOfMode(t *testing.T) {
	for name, do := range map[string]func(s *script){
		"in its place": func(s *script) { s.must(s.b.fs.User().Chmod("f", 0o600)) },
		"moved":        func(s *script) { s.rename(s.b, "f", "g"); s.must(s.b.fs.User().Chmod("g", 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				s := newScript(t, "f")
				do(s)
				s.look(s.b)
				s.talk()
				s.work(s.a)
				s.r = random(seed, 0)
				s.must(s.a.crash(false))
				s.join()
				s.look(s.a)
				s.rest()
				for _, d := range s.devices {
					for _, n := range d.fs.User().Tree() {
						if n.Mode != 0o600 {
							t.Fatalf("chance %d: on %s %q has mode %o", seed, d.name, n.Path, n.Mode)
						}
					}
				}
			}
		})
	}
}

func TestThePowerTakesTheTimeOfASymlinkAndNobodyEditedIt(t *testing.T) {
	for seed := range uint64(8) {
		s := newScript(t, "f")
		s.must(s.b.fs.User().Symlink("f", "link"))
		s.must(s.b.fs.User().Sync())
		s.look(s.b)
		s.talk()
		s.work(s.a)
		s.r = random(seed, 0)
		s.must(s.a.crash(false))
		s.join()
		s.look(s.a)
		s.rest()
		if n := s.records(s.b, "link"); n != 1 {
			t.Fatalf("chance %d: %d records of a symlink that was made once", seed, n)
		}
	}
}
