package indexexchange

import (
	"slices"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
	"github.com/shoalmesh/shoal/mesh"
)

// maxServes bounds the answers that one peer may be owed: more than honest sessions ever ask for at once.
const maxServes = 4 * (maxAsks + maxBuckets)

// outbox is what a session is to send: not messages but what they are about, so that it stays small however slow the peer is.
// Jobs about the same thing are one job. Guarded by Core.mu.
type outbox struct {
	hello     bool        // tell the roster's heads
	want      bool        // ask for missing statements
	answers   []mesh.Hash // heads of a peer that wants statements
	answering bool        // answers is set
	asks      []message   // bounded by the engine: maxAsks, and as many ask-buckets messages as there are buckets
	pushes    []journalKey
	shows     []journalKey // forks, of journals of the peer
	frontiers []*frontierJob
	serves    []serveJob
	statuses  []*statusJob
}

// frontierJob tells positions of a folder.
type frontierJob struct {
	folder   shoal.FolderID
	scope    scope
	journals []shoal.JournalID // with scopeChanged
}

// serveJob answers an ask, or for one bucket.
type serveJob struct {
	journal journalKey
	after   shoal.Seq
	bucket  *index.BucketDigest // nil: an ask
}

type statusJob struct {
	folder shoal.FolderID
	devs   []shoal.DeviceID // nil: all
}

// job is something that the session can carry out: one of the types below, a message, or *frontierJob, serveJob, *statusJob.
type job interface{}

type (
	helloJob  struct{ wanted bool }
	answerJob struct{ heads []mesh.Hash }
	pushJob   struct{ journal journalKey }
	forkJob   struct{ journal journalKey }
)

// next takes out what is to be sent next; nil when there is nothing. Rosters go first, then what others wait for.
func (b *outbox) next() job {
	switch {
	case b.hello:
		b.hello = false
		return helloJob{}
	case b.want:
		b.want = false
		return helloJob{wanted: true}
	case b.answering:
		a := answerJob{heads: b.answers}
		b.answers, b.answering = nil, false
		return a
	case len(b.asks) > 0:
		return take(&b.asks)
	case len(b.pushes) > 0:
		return pushJob{journal: take(&b.pushes)}
	case len(b.shows) > 0:
		return forkJob{journal: take(&b.shows)}
	case len(b.frontiers) > 0:
		return take(&b.frontiers)
	case len(b.serves) > 0:
		return take(&b.serves)
	case len(b.statuses) > 0:
		return take(&b.statuses)
	}
	return nil
}

func take[T any](s *[]T) T {
	first := (*s)[0]
	*s = (*s)[1:]
	return first
}

func (b *outbox) push(k journalKey) {
	if !slices.Contains(b.pushes, k) {
		b.pushes = append(b.pushes, k)
	}
}

// show sends the evidence of a fork.
func (b *outbox) show(k journalKey) {
	if !slices.Contains(b.shows, k) {
		b.shows = append(b.shows, k)
	}
}

// tell adds a position to what is told. A job that tells everything covers it.
func (b *outbox) tell(k journalKey) {
	job := b.frontier(k.folder)
	if job == nil {
		job = &frontierJob{folder: k.folder, scope: scopeChanged}
		b.frontiers = append(b.frontiers, job)
	}
	if job.scope == scopeChanged && !slices.Contains(job.journals, k.journal) {
		job.journals = append(job.journals, k.journal)
	}
}

// tellScope tells everything, or that the folder was left. The last word counts.
func (b *outbox) tellScope(f shoal.FolderID, s scope) {
	if job := b.frontier(f); job != nil {
		job.scope, job.journals = s, nil
		return
	}
	b.frontiers = append(b.frontiers, &frontierJob{folder: f, scope: s})
}

func (b *outbox) frontier(f shoal.FolderID) *frontierJob {
	for _, job := range b.frontiers {
		if job.folder == f {
			return job
		}
	}
	return nil
}

func (b *outbox) status(f shoal.FolderID, devs []shoal.DeviceID) {
	for _, job := range b.statuses {
		if job.folder != f {
			continue
		}
		if devs == nil {
			job.devs = nil
		}
		for _, d := range devs {
			if job.devs != nil && !slices.Contains(job.devs, d) {
				job.devs = append(job.devs, d)
			}
		}
		return
	}
	b.statuses = append(b.statuses, &statusJob{folder: f, devs: devs})
}

// serve adds answers; false when the peer asks for more at once than any honest one.
func (b *outbox) serve(jobs ...serveJob) bool {
	if len(b.serves)+len(jobs) > maxServes {
		return false
	}
	b.serves = append(b.serves, jobs...)
	return true
}
