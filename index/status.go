package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/index/internal/pb"
	"github.com/shoalmesh/shoal/mesh"
)

// Limits and labels of statuses.
const (
	// MaxStatusBytes is the size of the biggest signed status: two lists of MaxJournals, and MaxExceptions long paths.
	MaxStatusBytes = 5 << 20

	// MaxJournals bounds each list of positions in a status.
	MaxJournals = 10_000

	statusFormat = 1
	statusLabel  = "status" // of the signature, and before the associated data
)

// Field numbers of lists in messages Status and Exceptions (internal/pb/index.proto).
const (
	statusReceived  = 7
	statusApplied   = 8
	statusProofs    = 16
	exceptionsItems = 1
)

const metaCounter = "counter" // of statuses, of this database

// Standing is what only the owner of the disk knows when a status is made.
type Standing struct {
	Exceptions []Exception // what the disk does not show yet, and why
	Complete   bool        // there are no more of them; more than MaxExceptions make it false
	Joining    bool        // the disk was not looked at as a whole yet, or nothing of it is recorded because the folder still waits for others
	Trouble    Trouble     // of a keeper
	Store      StoreID     // of a keeper

	// Reach says how much of each journal may be told as received, where not all of what is here is safe yet; nil: all of it. A journal that it does not
	// name is not told.
	Reach map[shoal.JournalID]shoal.Seq
}

// StoreID names what vaults keep copies in together, as two processes do that serve one bucket: copies in one store are one copy. Zero: a store of its own.
// A vault that names another one's makes two copies count as one, which is no harm.
type StoreID [16]byte

// Trouble says why a keeper takes in nothing more. Numbers are part of the status format and never reused.
type Trouble uint8

// The troubles of keepers.
const (
	TroubleNone  Trouble = 0
	TroubleQuota Trouble = 1 // what it may keep for this mesh is used up
	TroubleDisk  Trouble = 2 // its disk is full or failing
)

// SignStatus makes this device's statement: its frontier received and, with the exceptions, applied. It is kept as Status of the
// own device, newer than all before.
func (tx *Tx) SignStatus(st Standing) ([]byte, error) {
	exceptions, complete := st.Exceptions, st.Complete
	if !tx.writable {
		return nil, ErrReadOnly
	}
	if err := tx.requireMember(); err != nil {
		return nil, err
	}
	if len(exceptions) > MaxExceptions {
		exceptions, complete = nil, false
	}
	counter, _ := binary.Uvarint(tx.bucket(bMeta).Get([]byte(metaCounter)))
	counter++
	tx.bucket(bMeta).Put([]byte(metaCounter), binary.AppendUvarint(nil, counter))
	sums, err := tx.loadSums()
	if err != nil {
		return nil, err
	}
	owed := sums.needs
	if tx.keeping() {
		kept, err := tx.Kept()
		if err != nil {
			return nil, err
		}
		owed, exceptions, complete = kept.Lacking, nil, complete && kept.Whole()
	}
	self := tx.config.Identity.Device()
	m := &pb.Status{
		Format: statusFormat, Mesh: tx.config.Mesh[:], Folder: tx.folder.id[:], Device: self[:], Database: tx.databaseNumber(),
		Counter: counter, Received: tx.positions(st.Reach), Owed: uint64(max(0, owed)), OwedBytes: uint64(max(0, sums.needBytes)), Complete: complete,
		Joining: st.Joining, Trouble: uint32(st.Trouble),
	}
	if st.Store != (StoreID{}) {
		m.Store = st.Store[:]
	}
	if complete {
		m.Applied = m.Received
	}
	if m.Proofs, err = tx.signedProofs(); err != nil {
		return nil, err
	}
	if err := tx.sealExceptions(m, exceptions); err != nil {
		return nil, err
	}
	raw := signMessage(tx.config.Identity, statusLabel, m)
	tx.bucket(bStatuses).Put(self[:], bytes.Clone(raw))
	return raw, nil
}

// positions is the frontier, no farther than reach if that is not nil, sorted.
func (tx *Tx) positions(reach map[shoal.JournalID]shoal.Seq) []*pb.Position {
	var out []*pb.Position
	for _, j := range tx.mustJournals().list {
		seq := j.seq
		if reach != nil {
			seq = min(seq, reach[j.id])
		}
		if seq > 0 {
			out = append(out, &pb.Position{Journal: j.id.Bytes(), Seq: uint64(seq)})
		}
	}
	slices.SortFunc(out, func(a, b *pb.Position) int { return bytes.Compare(a.Journal, b.Journal) })
	return out
}

// sealExceptions hides the paths from vaults.
func (tx *Tx) sealExceptions(m *pb.Status, exceptions []Exception) error {
	if len(exceptions) == 0 {
		return nil
	}
	epoch, ok := tx.keys.Current()
	if !ok {
		return fmt.Errorf("folder %s has no epoch to write under: %w", tx.folder.id, ErrNoKey)
	}
	list := new(pb.Exceptions)
	for _, e := range exceptions {
		list.Items = append(list.Items, &pb.Exception{Path: []byte(e.Path), Reason: uint32(e.Reason)})
	}
	m.Epoch = epoch.ID[:]
	m.Sealed = tx.sealer(epoch.ID).sealPart(statusAD(m), mustMarshal(list))
	return nil
}

// statusAD binds the sealed part to its statement.
func statusAD(m *pb.Status) []byte {
	ad := append([]byte("shoal/"+statusLabel+"/v1\x00"), m.Folder...)
	ad = append(append(ad, m.Device...), m.Epoch...)
	ad = binary.BigEndian.AppendUint64(ad, m.Database)
	return binary.BigEndian.AppendUint64(ad, m.Counter)
}

// DecodeStatus reads a signed status and checks its signature against the device that it names, nothing else. Exceptions stay
// sealed: Tx.Status opens them. Errors: ErrMalformed, ErrForged.
func DecodeStatus(raw []byte) (Status, error) {
	s, _, err := decodeStatus(raw)
	return s, err
}

func decodeStatus(raw []byte) (Status, *pb.Status, error) {
	s, m, signed, err := parseStatus(raw)
	if err == nil && !mesh.Verify(s.Device, statusLabel, signed.Body, signed.Signature) {
		err = ErrForged
	}
	if err != nil {
		return Status{}, nil, err
	}
	return s, m, nil
}

// StatusDevice tells whose a signed status says it is. The signature is not checked.
func StatusDevice(raw []byte) (shoal.DeviceID, error) {
	s, _, _, err := parseStatus(raw)
	return s.Device, err
}

// parseStatus is decodeStatus without a look at the signature: for what is stored, which was checked when it came, and for what may be old anyway.
func parseStatus(raw []byte) (Status, *pb.Status, *pb.Signed, error) {
	if len(raw) > MaxStatusBytes {
		return Status{}, nil, nil, malformed("status of %d bytes", len(raw))
	}
	m := new(pb.Status)
	signed, err := openSigned(raw, m, map[protowire.Number]int{statusReceived: MaxJournals, statusApplied: MaxJournals, statusProofs: MaxProofs})
	if err != nil {
		return Status{}, nil, nil, err
	}
	s := Status{Database: m.Database, Counter: m.Counter, Owed: int64(m.Owed), OwedBytes: int64(m.OwedBytes), Complete: m.Complete, Joining: m.Joining, Trouble: Trouble(min(m.Trouble, 255))}
	if m.Format != statusFormat || !fill(s.Mesh[:], m.Mesh) || !fill(s.Folder[:], m.Folder) || !fill(s.Device[:], m.Device) ||
		len(m.Store) > 0 && !fill(s.Store[:], m.Store) || s.Owed < 0 || s.OwedBytes < 0 || (len(m.Sealed) > 0 && len(m.Epoch) != len(shoal.EpochID{})) {
		return Status{}, nil, nil, malformed("status of format %d", m.Format)
	}
	if s.Received, err = frontierOf(m.Received); err != nil {
		return Status{}, nil, nil, err
	}
	if s.Applied, err = frontierOf(m.Applied); err != nil {
		return Status{}, nil, nil, err
	}
	if s.Proofs, err = proofsOf(m.Proofs); err != nil {
		return Status{}, nil, nil, err
	}
	return s, m, signed, nil
}

func frontierOf(list []*pb.Position) (map[shoal.JournalID]shoal.Seq, error) {
	out := make(map[shoal.JournalID]shoal.Seq, len(list))
	for _, p := range list {
		j, err := shoal.JournalIDFromBytes(p.Journal)
		if err != nil || p.Seq == 0 || p.Seq > maxSeq {
			return nil, malformed("frontier with a journal of %d bytes at %d", len(p.Journal), p.Seq)
		}
		out[j] = shoal.Seq(p.Seq)
	}
	return out, nil
}

// PutStatus keeps a device's statement if it is newer than the one that is here, or says of a vault what that does not admit any more, and tells whether it
// did. Errors: ErrMalformed;
// ErrForged: it is not of this device and folder, or badly signed; ErrVoid: the device is not in the mesh.
func (tx *Tx) PutStatus(dev shoal.DeviceID, raw []byte) (newer bool, err error) {
	if !tx.writable {
		return false, ErrReadOnly
	}
	s, _, signed, err := parseStatus(raw)
	switch {
	case err != nil:
		return false, err
	case s.Device != dev || s.Folder != tx.folder.id || s.Mesh != tx.config.Mesh:
		return false, fmt.Errorf("status of device %s in folder %s: %w", s.Device, s.Folder, ErrForged)
	case !tx.config.Roster().Admitted(dev):
		return false, fmt.Errorf("status of device %s: %w", dev, ErrVoid)
	}
	// One that is not newer may still say more than a vault admits by now.
	more, err := tx.acknowledges(&s)
	if err != nil {
		return false, err
	}
	newer = true
	if old := tx.bucket(bStatuses).Get(dev[:]); old != nil {
		have, _, _, err := parseStatus(old)
		if err != nil {
			return false, tx.damaged("status", dev[:], err)
		}
		newer = s.Database > have.Database || s.Database == have.Database && s.Counter > have.Counter
	}
	own := dev == tx.config.Identity.Device()
	if !newer && !own && !more {
		return false, nil // most are old: they come from everybody again and again
	}
	if !mesh.Verify(dev, statusLabel, signed.Body, signed.Signature) {
		return false, ErrForged
	}
	if own {
		tx.outlive(&s)
	}
	if more {
		if more, err = tx.acknowledge(raw, &s); err != nil {
			return false, err
		}
	}
	if !newer {
		return more, nil
	}
	tx.bucket(bStatuses).Put(dev[:], bytes.Clone(raw))
	return true, nil
}

// outlive makes this device's next statement newer than one of its own that came back from others: it was made in a former life,
// before this database was lost or restored from an older copy.
func (tx *Tx) outlive(s *Status) {
	db, meta := tx.folder.db, tx.bucket(bMeta)
	counter, _ := binary.Uvarint(meta.Get([]byte(metaCounter)))
	number := tx.databaseNumber()
	if s.Database > number {
		number, counter = s.Database, s.Counter
		tx.store.Bucket(metaBucket).Put([]byte(metaNumber), binary.BigEndian.AppendUint64(nil, number))
		tx.after = append(tx.after, func() { db.number.Store(number) })
	} else if s.Database == number {
		counter = max(counter, s.Counter)
	}
	meta.Put([]byte(metaCounter), binary.AppendUvarint(nil, counter))
}

// databaseNumber is the number as this transaction sees it.
func (tx *Tx) databaseNumber() uint64 {
	if v := tx.store.Bucket(metaBucket).Get([]byte(metaNumber)); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return tx.folder.db.number.Load()
}

// Status returns the newest statement of a device; false: there is none. Exceptions that cannot be opened make it not Complete.
func (tx *Tx) Status(dev shoal.DeviceID) (Status, bool, error) {
	raw := tx.bucket(bStatuses).Get(dev[:])
	if raw == nil {
		return Status{}, false, nil
	}
	s, m, _, err := parseStatus(raw)
	if err != nil {
		return Status{}, false, tx.damaged("status", dev[:], err)
	}
	if len(m.Sealed) > 0 {
		if err := tx.openExceptions(&s, m); err != nil {
			s.Complete, s.Exceptions = false, nil
		}
	}
	return s, true, nil
}

func (tx *Tx) openExceptions(s *Status, m *pb.Status) error {
	if err := tx.requireKeys(); err != nil {
		return err
	}
	seal := tx.sealer(shoal.EpochID(m.Epoch))
	if seal == nil {
		return errNoEpochKey
	}
	data, err := seal.openPart(statusAD(m), m.Sealed)
	if err != nil {
		return err
	}
	if err := checkCounts(data, map[protowire.Number]int{exceptionsItems: MaxExceptions}); err != nil {
		return err
	}
	list := new(pb.Exceptions)
	if err := proto.Unmarshal(data, list); err != nil {
		return malformed("exceptions: %v", err)
	}
	for _, e := range list.Items {
		p := shoal.Path(e.Path)
		if p.Validate() != nil || e.Reason == 0 || e.Reason > uint32(ReasonError) {
			return malformed("exception %q for reason %d", e.Path, e.Reason)
		}
		s.Exceptions = append(s.Exceptions, Exception{Path: p, Reason: Reason(e.Reason)})
	}
	return nil
}

// Statuses returns the newest statement of every device as it was signed, the own one included, to be passed on.
func (tx *Tx) Statuses() (map[shoal.DeviceID][]byte, error) {
	out := make(map[shoal.DeviceID][]byte)
	c := tx.bucket(bStatuses).Cursor()
	for k, v := c.Seek(nil); k != nil; k, v = c.Next() {
		if len(k) != len(shoal.DeviceID{}) {
			return nil, tx.damaged("status", k, errShort)
		}
		out[shoal.DeviceID(k)] = bytes.Clone(v)
	}
	return out, nil
}
