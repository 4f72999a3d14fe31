package index

import (
	"github.com/shoalmesh/shoal"
)

// Head is a device's signed statement about one of its journals. It travels, and is kept, as the bytes that were signed.
type Head struct {
	Mesh    shoal.MeshID
	Folder  shoal.FolderID
	Journal shoal.JournalID
	Seq     shoal.Seq // the journal reaches this far
	Count   uint64    // live records
	Buckets [32]byte  // hash of the list of bucket digests
	Time    int64     // when it was signed, nanoseconds since 1970; re-signing renews it

	Continues shoal.Dot // the journal that this one continues, and up to where; a zero journal: none

	// Others are the heads of other journals that the signer had last accepted, sorted by journal.
	Others []HeadRef
}

// HeadRef names a head.
type HeadRef struct {
	Journal shoal.JournalID
	Seq     shoal.Seq
	Hash    [32]byte // Head.Hash
}

// BucketDigest is what the live records of one bucket hash to. Buckets without live records have none.
type BucketDigest struct {
	N      uint64 // seq div BucketSize
	Digest [32]byte
}

// BucketSize is the number of seqs in a bucket.
const BucketSize = 1024

// JournalPos is how much of a journal is here.
type JournalPos struct {
	Seq      shoal.Seq // complete up to there; 0: it is known, but nothing of it counts yet
	Head     []byte    // as it was signed, at Seq; nil when Seq is 0
	HeadHash [32]byte  // Head.Hash: equal for two heads that say the same of the journal
	Time     int64     // of the head
}
