package index

import (
	"cmp"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index/internal/pb"
	"github.com/shoalmesh/shoal/mesh"
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

	Continues shoal.Dot // the journal that this one continues, and up to where (0: nothing of it was held); a zero journal: none

	// Life is drawn at random whenever the device goes on in the journal in a new run; 0 in the run that began it. By it the
	// histories of one journal that was written twice are told apart.
	Life uint64
	// Abandons are the lives of the continued journal that its author left because it had two histories: above Continues.Seq,
	// records of theirs count for nothing. At most MaxLives; the same in all heads of a journal.
	Abandons []uint64

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
	Time     int64     // of the head, nanoseconds since 1970
}

// Limits of heads.
const (
	// MaxHeadBytes is the size of the biggest signed head: MaxHeadRefs others and what is fixed.
	MaxHeadBytes = 128 << 10

	// MaxHeadRefs bounds Head.Others.
	MaxHeadRefs = 1000

	// MaxLives is how often a device goes on in one journal before it begins a new one.
	MaxLives = 128

	headFormat = 1
	headLabel  = "head" // of the signature, mesh.Identity.Sign
	headOthers = 11     // field of message Head (internal/pb/index.proto)
)

// Labels of hashes.
const (
	headHashLabel   = "shoal/head-hash/v1\x00"
	bucketLabel     = "shoal/bucket/v1\x00"
	bucketListLabel = "shoal/bucket-list/v1\x00"
)

// Hash names what the head says of the journal: it leaves out Time, Others, Life and Abandons, so that a head signed again has
// the same, in another run too.
func (h *Head) Hash() [32]byte {
	b := make([]byte, 0, 256)
	b = append(append(b, h.Mesh[:]...), h.Folder[:]...)
	b = append(b, h.Journal.Bytes()...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Seq))
	b = binary.BigEndian.AppendUint64(b, h.Count)
	b = append(b, h.Buckets[:]...)
	if h.Continues.Journal != (shoal.JournalID{}) {
		b = append(b, h.Continues.Journal.Bytes()...)
		b = binary.BigEndian.AppendUint64(b, uint64(h.Continues.Seq))
	}
	return hashLabelled(headHashLabel, b)
}

// Validate refuses heads that break a rule of docs/formats/head.md.
func (h *Head) Validate() error {
	if err := h.Journal.Validate(); err != nil {
		return err
	}
	switch {
	case h.Seq == 0 || h.Seq > maxSeq || h.Count == 0 || h.Count > uint64(h.Seq):
		return malformed("head at %d with %d records", h.Seq, h.Count)
	case h.Continues.Journal == (shoal.JournalID{}) && h.Continues.Seq != 0:
		return malformed("head continues nothing up to %d", h.Continues.Seq)
	case h.Continues.Journal != (shoal.JournalID{}) && h.Continues.Journal.Device != h.Journal.Device:
		return malformed("head continues the journal of another device")
	case h.Continues.Journal == h.Journal || h.Continues.Seq > maxSeq || len(h.Others) > MaxHeadRefs:
		return malformed("head continues %s, %d others", h.Continues, len(h.Others))
	case len(h.Abandons) > MaxLives || len(h.Abandons) > 0 && h.Continues.Journal == (shoal.JournalID{}):
		return malformed("head abandons %d lives of %s", len(h.Abandons), h.Continues)
	}
	for i, o := range h.Others {
		if o.Seq == 0 || o.Seq > maxSeq || o.Journal == h.Journal || (i > 0 && h.Others[i-1].Journal.Compare(o.Journal) >= 0) {
			return malformed("head names %s:%d", o.Journal, o.Seq)
		}
	}
	return nil
}

// sign returns the head as it travels.
func (h *Head) sign(id *mesh.Identity) []byte {
	m := &pb.Head{
		Format: headFormat, Mesh: h.Mesh[:], Folder: h.Folder[:], Journal: h.Journal.Bytes(), Seq: uint64(h.Seq), Count: h.Count,
		Buckets: h.Buckets[:], Time: h.Time, Life: h.Life, Abandons: h.Abandons,
	}
	if h.Continues.Journal != (shoal.JournalID{}) {
		m.ContinuesJournal, m.ContinuesSeq = h.Continues.Journal.Bytes(), uint64(h.Continues.Seq)
	}
	for _, o := range h.Others {
		m.Others = append(m.Others, &pb.HeadRef{Journal: o.Journal.Bytes(), Seq: uint64(o.Seq), Hash: o.Hash[:]})
	}
	return signMessage(id, headLabel, m)
}

// DecodeHead reads a signed head and checks its signature against the device of its journal, nothing else. Errors:
// ErrMalformed, ErrForged.
func DecodeHead(raw []byte) (Head, error) {
	if len(raw) > MaxHeadBytes {
		return Head{}, malformed("head of %d bytes", len(raw))
	}
	var m pb.Head
	s, err := openSigned(raw, &m, map[protowire.Number]int{headOthers: MaxHeadRefs})
	if err != nil {
		return Head{}, err
	}
	h := Head{Seq: shoal.Seq(m.Seq), Count: m.Count, Time: m.Time, Life: m.Life, Abandons: m.Abandons}
	if m.Format != headFormat || !fill(h.Mesh[:], m.Mesh) || !fill(h.Folder[:], m.Folder) || !fill(h.Buckets[:], m.Buckets) {
		return Head{}, malformed("head of format %d", m.Format)
	}
	if h.Journal, err = shoal.JournalIDFromBytes(m.Journal); err != nil {
		return Head{}, malformed("%v", err)
	}
	h.Continues.Seq = shoal.Seq(m.ContinuesSeq)
	if len(m.ContinuesJournal) > 0 {
		if h.Continues.Journal, err = shoal.JournalIDFromBytes(m.ContinuesJournal); err != nil {
			return Head{}, malformed("%v", err)
		}
	}
	if h.Others, err = headRefs(m.Others); err != nil {
		return Head{}, err
	}
	if err := h.Validate(); err != nil {
		return Head{}, err
	}
	if !mesh.Verify(h.Journal.Device, headLabel, s.Body, s.Signature) {
		return Head{}, ErrForged
	}
	return h, nil
}

func headRefs(list []*pb.HeadRef) ([]HeadRef, error) {
	if len(list) > MaxHeadRefs {
		return nil, malformed("head names %d others", len(list))
	}
	var out []HeadRef
	for _, o := range list {
		j, err := shoal.JournalIDFromBytes(o.Journal)
		r := HeadRef{Journal: j, Seq: shoal.Seq(o.Seq)}
		if err != nil || !fill(r.Hash[:], o.Hash) {
			return nil, malformed("head names a journal of %d bytes", len(o.Journal))
		}
		out = append(out, r)
	}
	return out, nil
}

// fill copies data into dst and tells whether it fits exactly.
func fill(dst, data []byte) bool { return len(data) == len(dst) && copy(dst, data) == len(dst) }

func signMessage(id *mesh.Identity, label string, m proto.Message) []byte {
	body := mustMarshal(m)
	return mustMarshal(&pb.Signed{Body: body, Signature: id.Sign(label, body)})
}

// mustMarshal encodes a message that this package made.
func mustMarshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("index: " + err.Error()) // only invalid UTF-8 in string fields can fail, and there are none
	}
	return b
}

// openSigned decodes a signed message whose lists have no more than so many elements, without checking the signature.
func openSigned(raw []byte, body proto.Message, longest map[protowire.Number]int) (*pb.Signed, error) {
	s := new(pb.Signed)
	if err := proto.Unmarshal(raw, s); err != nil {
		return nil, malformed("%v", err)
	}
	if err := checkCounts(s.Body, longest); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(s.Body, body); err != nil {
		return nil, malformed("%v", err)
	}
	return s, nil
}

// bucketListHash is what Head.Buckets holds.
func bucketListHash(list []BucketDigest) [32]byte {
	b := make([]byte, 0, 40*len(list))
	for i := range list {
		b = binary.BigEndian.AppendUint64(b, list[i].N)
		b = append(b, list[i].Digest[:]...)
	}
	return hashLabelled(bucketListLabel, b)
}

// bucketDigest is the digest of a bucket whose live records have these hashes, concatenated in seq order.
func bucketDigest(hashes []byte) [32]byte { return hashLabelled(bucketLabel, hashes) }

// validateList refuses lists that are not sorted strictly or that reach beyond the head.
func validateList(list []BucketDigest, h *Head) error {
	sorted := slices.IsSortedFunc(list, func(a, b BucketDigest) int { return cmp.Compare(a.N, b.N) })
	for i := range list {
		if !sorted || (i > 0 && list[i-1].N == list[i].N) || list[i].N > uint64(h.Seq)/BucketSize {
			return malformed("list of %d buckets", len(list))
		}
	}
	return nil
}
