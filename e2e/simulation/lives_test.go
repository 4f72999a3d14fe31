package simulation

import "testing"

// The stories here are about a device that is put back to an earlier state, and goes on in its journal because somebody who was
// away takes it for what it was. The journal has two histories then.

// formerLife gives a the new files both and former, which b gets, and puts a back to before; c has seen nothing of it.
func (s *script) formerLife() {
	s.a.takeImage()
	s.join(s.a, s.b)
	s.write(s.a, "both", "former life")
	s.write(s.a, "former", "former life")
	s.look(s.a)
	s.talk()
	s.work(s.b)
	s.join()
	s.must(s.a.putImageBack())
	s.join(s.a, s.c)
	s.talk() // c shows the very head that a has
}

func TestBothLivesOfARestoredDeviceAreKept(t *testing.T) {
	for name, meet := range map[string]func(s *script){
		"everybody at once":           func(*script) {},
		"the two histories first":     func(s *script) { s.join(s.b, s.c); s.talk(); s.work(s.b, s.c) },
		"who knows the former life":   func(s *script) { s.join(s.a, s.b); s.talk(); s.work(s.a, s.b) },
		"who hears of it from others": func(s *script) { s.join(s.b, s.c); s.talk(); s.join(s.a, s.c); s.talk(); s.work(s.a) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, "z")
			s.formerLife()
			s.write(s.a, "both", "new life")
			s.write(s.a, "new", "new life")
			s.look(s.a)
			s.talk()
			s.work(s.c)
			s.write(s.c, "new", "c, who saw it")
			s.look(s.c)
			s.talk()
			s.work(s.a)
			meet(s)
			s.rest()
			s.is("both=new life", "both*=former life", "former=former life", "new=c, who saw it", "z=old z")
		})
	}
}

// It was put back a second time, and what it wrote between is known to nobody but who took it for current.
func TestALifeBetweenTwoIsKept(t *testing.T) {
	s := newScript(t, "z")
	s.formerLife()
	s.write(s.a, "between", "second life")
	s.look(s.a)
	s.talk()
	s.work(s.c)
	s.join()
	s.must(s.a.restart())
	s.join(s.a, s.c)
	s.talk() // it goes on in the journal again
	s.write(s.a, "new", "third run")
	s.look(s.a)
	s.talk()
	s.rest()
	s.is("between=second life", "both=former life", "former=former life", "new=third run", "z=old z")
}
