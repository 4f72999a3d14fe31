package folder

import (
	"bytes"
	"encoding/gob"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/folder/disk"
	"github.com/shoalmesh/shoal/folder/plan"
	"github.com/shoalmesh/shoal/index"
)

// SampleIntents are bodies of intent files: one of each kind of operation on p, with a temporary file and other bases as they come.
func SampleIntents(p, from shoal.Path, temp string, st disk.Stat) (out [][]byte) {
	file := &index.Base{Kind: shoal.KindFile, Mode: 0o644, MTime: st.MTime, Stat: statOf(st)}
	for kind := plan.OpKind(0); kind <= plan.Adopt; kind++ {
		for _, next := range []*index.Base{nil, file, goneBase(nil), {Kind: shoal.KindFolder, Mode: 0o755}} {
			var body bytes.Buffer
			in := []intent{{Kind: kind, Path: p, From: from, Temp: temp, NewStat: st, New: next, Old: file, OldFrom: file}}
			if err := gob.NewEncoder(&body).Encode(in); err != nil {
				panic(err)
			}
			out = append(out, body.Bytes())
		}
	}
	return out
}

// FullEveryNow is how often a service that has ended looked at everything.
func (s *Service) FullEveryNow() time.Duration { return s.fullEvery() }

// HashFile is hashFile.
var HashFile = hashFile

// Temp is the name of a job's temporary file.
func Temp(j *Job) string { return j.temp }

// PlanWindow is planWindow.
const PlanWindow = planWindow
