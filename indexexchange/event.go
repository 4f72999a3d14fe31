package indexexchange

import (
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index"
)

// event is an input of engine.step.
type event interface{ apply(*engine) }

// peerUp: a session began. An older one of that peer is over.
type peerUp struct{ peer shoal.DeviceID }

// peerReady: the roster knows all that the peer's does.
type peerReady struct{ peer shoal.DeviceID }

// peerDown: the session is over.
type peerDown struct{ peer shoal.DeviceID }

// localFrontier: this is how far the journals of a folder are here, all of them.
type localFrontier struct {
	folder    shoal.FolderID
	positions map[shoal.JournalID]position
	own       shoal.JournalID
	ownOpen   bool
	forked    []shoal.JournalID // journals with two histories, as far as is known here
}

// localGone: the folder is not kept here any more.
type localGone struct{ folder shoal.FolderID }

// localChanged: something happened in the folder here, so that the own status is old.
type localChanged struct{ folder shoal.FolderID }

// rosterChanged: what was refused because of the roster may be fine now.
type rosterChanged struct{}

// frontierCame: a peer told positions.
type frontierCame struct {
	peer shoal.DeviceID
	m    frontierMessage
}

// batchCame: a peer sent a batch that leads to at. Answered by an accept action, or nothing: drop it.
type batchCame struct {
	peer    shoal.DeviceID
	journal journalKey
	at      position
}

// digestsCame: a peer sent a head and its digests. Answered by a stage action, or nothing.
type digestsCame struct {
	peer    shoal.DeviceID
	journal journalKey
	at      position
}

// bucketCame: a peer sent a bucket. Answered by a stageBucket action, or nothing.
type bucketCame struct {
	peer    shoal.DeviceID
	journal journalKey
	n       uint64
}

// accepted: how accepting a batch ended. When something was accepted, localFrontier came before.
type accepted struct {
	peer    shoal.DeviceID
	journal journalKey
	at      position
	asked   bool // from the accept action
	outcome outcome
	reason  error
}

// staged: how staging a head ended, and which buckets of it are missing.
type staged struct {
	peer    shoal.DeviceID
	journal journalKey
	at      position
	missing []index.BucketDigest
	outcome outcome
	reason  error
}

// bucketStaged: how staging a bucket ended.
type bucketStaged struct {
	peer       shoal.DeviceID
	journal    journalKey
	n          uint64
	generation int // of the stageBucket action
	outcome    outcome
	reason     error
}

// finished: how finishing a stage ended. When it went well, localFrontier came before.
type finished struct {
	peer    shoal.DeviceID // whose message led to it
	journal journalKey
	outcome outcome
}

// nothingCame: the peer cannot answer.
type nothingCame struct {
	peer    shoal.DeviceID
	journal journalKey
}

// sentTo: a batch that leads to at was handed to the peer's stream.
type sentTo struct {
	peer    shoal.DeviceID
	journal journalKey
	at      position
}

// statusNews: a device's status was stored. from is the peer that it came from, or this device.
type statusNews struct {
	folder shoal.FolderID
	dev    shoal.DeviceID
	from   shoal.DeviceID
}

// misbehaved: the peer sent what no honest one sends, outside a chase.
type misbehaved struct {
	peer   shoal.DeviceID
	reason error
}

// tick: time went by.
type tick struct{}

// outcome is how an attempt to take something in ended, by what follows from it.
type outcome uint8

const (
	fine     outcome = iota
	unfit            // honest, but does not join what is here: ask for the right piece
	lie              // counts against the source
	void             // not valid by the roster as it is here, or no key yet
	forked           // the author signed two histories
	troubled         // this device could not; later, perhaps
)

// action is an output of engine.step.
type action interface{ action() }

// Messages to peers. Those about positions and records name what is to be sent; the content is looked up when it is.
type (
	sendAsk struct {
		peer    shoal.DeviceID
		journal journalKey
		after   shoal.Seq
	}
	sendAskBuckets struct {
		peer    shoal.DeviceID
		journal journalKey
		list    []index.BucketDigest
	}
	// tellAll sends the whole frontier, tellLeft that the folder is not kept here, tell one position.
	tellAll struct {
		peer   shoal.DeviceID
		folder shoal.FolderID
	}
	tellLeft struct {
		peer   shoal.DeviceID
		folder shoal.FolderID
	}
	tell struct {
		peer    shoal.DeviceID
		journal journalKey
	}
	// push sends the records of the own journal after what the peer has.
	push struct {
		peer    shoal.DeviceID
		journal journalKey
	}
	// sendStatuses sends the stored statuses of these devices; nil: of all.
	sendStatuses struct {
		peer   shoal.DeviceID
		folder shoal.FolderID
		devs   []shoal.DeviceID
	}
)

// What to do with the message that was just looked at.
type (
	accept      struct{ asked bool } // asked: it is an answer, not a push
	stage       struct{}
	stageBucket struct{ generation int }
	finish      struct{ journal journalKey }
)

// The rest.
type (
	// sign makes a new status of this device.
	sign struct{ folder shoal.FolderID }
	// showProof reports what a peer shows of the own journal.
	showProof struct {
		folder shoal.FolderID
		peer   shoal.DeviceID
		same   bool
	}
	// checkRival asks a peer for the head of the own open journal that it shows, if that is another than was ever signed here.
	checkRival struct {
		folder shoal.FolderID
		peer   shoal.DeviceID
		at     position
	}
	// showFork sends a peer the heads that prove that its journal has two histories: it may know but one.
	showFork struct {
		peer    shoal.DeviceID
		journal journalKey
	}
	leaveOutPeer struct {
		peer   shoal.DeviceID
		reason error
	}
	wakeAt struct{ at time.Time }
)

func (sendAsk) action()        {}
func (sendAskBuckets) action() {}
func (tellAll) action()        {}
func (tellLeft) action()       {}
func (tell) action()           {}
func (push) action()           {}
func (sendStatuses) action()   {}
func (accept) action()         {}
func (stage) action()          {}
func (stageBucket) action()    {}
func (finish) action()         {}
func (sign) action()           {}
func (showProof) action()      {}
func (leaveOutPeer) action()   {}
func (checkRival) action()     {}
func (showFork) action()       {}
func (wakeAt) action()         {}
