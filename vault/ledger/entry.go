package ledger

import (
	"fmt"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
)

// Entry is one step of a ledger. What it holds counts in the order of the fields.
type Entry struct {
	Mesh   shoal.MeshID
	Number uint32
	Before Hash     // chain
	Nonce  [16]byte // random, so that no two entries are the same bytes
	Made   uint32   // by its author's clock, in seconds since 1970
	By     shoal.DeviceID

	Settings   []byte   // of the mesh's keeping, as package vault/replica writes them; empty: as before
	Statements [][]byte // of the roster
	Batches    []Batch
	Transfers  []Transfer
	Nodes      []Node
	Lost       []Lost
	Whole      []shoal.FolderID // of which everything was here that a full device had
}

// Batch is a piece of a journal that ends at a head.
type Batch struct {
	Folder   shoal.FolderID
	Journal  shoal.JournalID
	From, To shoal.Seq
	Head     []byte
	Records  [][]byte
}

// Transfer is a batch that is too long for an entry: its records lie in parts, as TransferWriter writes them.
type Transfer struct {
	Folder   shoal.FolderID
	Journal  shoal.JournalID
	From, To shoal.Seq
	Head     []byte
	Parts    []PartRef
}

// PartRef names a part.
type PartRef struct {
	Name Name
	Size uint32
	Hash Hash // BLAKE3 of its bytes
}

// Node is a reference node that records of a folder demand.
type Node struct {
	Folder shoal.FolderID
	Data   []byte
}

// Lost is a block of which the last copy was found to be damaged, and deleted.
type Lost struct {
	Folder shoal.FolderID
	Block  block.EpochRef
}

const (
	entryMagic  = "SHOALVLE"
	partRefSize = 16 + 4 + 32
	batchSize   = 16 + 40 + 8 + 8 + 4 + 4 // without head and elements
)

// Empty tells that the entry says nothing.
func (e *Entry) Empty() bool {
	return len(e.Settings) == 0 && len(e.Statements)+len(e.Batches)+len(e.Transfers)+len(e.Nodes)+len(e.Lost)+len(e.Whole) == 0
}

// Validate refuses what no decoder takes.
func (e *Entry) Validate() error {
	bad := func(what string) error { return fmt.Errorf("entry with %s: %w", what, ErrMalformed) }
	if e.Number == 0 || e.Empty() {
		return bad("nothing in it")
	}
	if len(e.Settings) > MaxSettings || max(len(e.Statements), len(e.Batches), len(e.Transfers), len(e.Nodes), len(e.Lost), len(e.Whole)) > MaxList {
		return bad("too long a list")
	}
	for _, s := range e.Statements {
		if len(s) == 0 || len(s) > MaxStatement {
			return bad("a statement of a wrong size")
		}
	}
	for i := range e.Batches {
		b := &e.Batches[i]
		if b.From > b.To || len(b.Head) == 0 || len(b.Head) > MaxHead || len(b.Records) > MaxList {
			return bad("a batch that is none")
		}
		for _, r := range b.Records {
			if len(r) == 0 || len(r) > MaxRecord {
				return bad("a record of a wrong size")
			}
		}
	}
	for i := range e.Transfers {
		t := &e.Transfers[i]
		if t.From > t.To || len(t.Head) == 0 || len(t.Head) > MaxHead || len(t.Parts) == 0 || validateParts(t.Parts) != nil {
			return bad("a transfer that is none")
		}
	}
	for _, n := range e.Nodes {
		if len(n.Data) == 0 || len(n.Data) > MaxNode {
			return bad("a node of a wrong size")
		}
	}
	return nil
}

func validateParts(parts []PartRef) error {
	if len(parts) > MaxParts {
		return ErrMalformed
	}
	for _, p := range parts {
		if p.Size == 0 || p.Size > MaxPart {
			return ErrMalformed
		}
	}
	return nil
}

// Encode returns the entry's bytes.
func (e *Entry) Encode() []byte {
	w := newWriter(entryMagic)
	w.fixed(e.Mesh[:])
	w.u32(e.Number)
	w.fixed(e.Before[:])
	w.fixed(e.Nonce[:])
	w.u32(e.Made)
	w.fixed(e.By[:])
	w.blob(e.Settings)
	w.blobs(e.Statements)
	w.count(len(e.Batches))
	for i := range e.Batches {
		b := &e.Batches[i]
		w.piece(b.Folder, b.Journal, b.From, b.To, b.Head)
		w.blobs(b.Records)
	}
	w.count(len(e.Transfers))
	for i := range e.Transfers {
		t := &e.Transfers[i]
		w.piece(t.Folder, t.Journal, t.From, t.To, t.Head)
		w.parts(t.Parts)
	}
	w.count(len(e.Nodes))
	for _, n := range e.Nodes {
		w.fixed(n.Folder[:])
		w.blob(n.Data)
	}
	w.count(len(e.Lost))
	for _, l := range e.Lost {
		w.fixed(l.Folder[:])
		w.fixed(l.Block.Epoch[:])
		w.fixed(l.Block.ID[:])
	}
	w.count(len(e.Whole))
	for _, f := range e.Whole {
		w.fixed(f[:])
	}
	return w.done()
}

func (w *writer) blobs(list [][]byte) {
	w.count(len(list))
	for _, b := range list {
		w.blob(b)
	}
}

func (w *writer) piece(f shoal.FolderID, j shoal.JournalID, from, to shoal.Seq, head []byte) {
	w.fixed(f[:])
	w.journal(j)
	w.u64(uint64(from))
	w.u64(uint64(to))
	w.blob(head)
}

func (w *writer) parts(list []PartRef) {
	w.count(len(list))
	for _, p := range list {
		w.fixed(p.Name[:])
		w.u32(p.Size)
		w.fixed(p.Hash[:])
	}
}

// DecodeEntry reads an entry. What it returns lies in raw. Error: ErrMalformed.
func DecodeEntry(raw []byte) (*Entry, error) {
	r, err := newReader(raw, entryMagic, MaxEntry)
	if err != nil {
		return nil, err
	}
	e := &Entry{Mesh: shoal.MeshID(r.take(32)), Number: r.u32(), Before: Hash(r.take(32)), Nonce: [16]byte(r.take(16)), Made: r.u32(), By: shoal.DeviceID(r.take(32))}
	e.Settings = r.blob(MaxSettings)
	e.Statements = r.blobs(MaxStatement)
	for range r.count(MaxList, batchSize) {
		b := Batch{}
		b.Folder, b.Journal, b.From, b.To, b.Head = r.piece()
		b.Records = r.blobs(MaxRecord)
		e.Batches = append(e.Batches, b)
	}
	for range r.count(MaxList, batchSize) {
		t := Transfer{}
		t.Folder, t.Journal, t.From, t.To, t.Head = r.piece()
		t.Parts = r.parts()
		e.Transfers = append(e.Transfers, t)
	}
	for range r.count(MaxList, 16+4) {
		e.Nodes = append(e.Nodes, Node{Folder: shoal.FolderID(r.take(16)), Data: r.blob(MaxNode)})
	}
	for range r.count(MaxList, 16+32+32) {
		e.Lost = append(e.Lost, Lost{Folder: shoal.FolderID(r.take(16)), Block: block.EpochRef{Epoch: shoal.EpochID(r.take(32)), ID: block.ID(r.take(32))}})
	}
	for range r.count(MaxList, 16) {
		e.Whole = append(e.Whole, shoal.FolderID(r.take(16)))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return e, e.Validate()
}

func (r *reader) blobs(limit int) [][]byte {
	var list [][]byte
	for range r.count(MaxList, 4) {
		list = append(list, r.blob(limit))
	}
	return list
}

func (r *reader) piece() (f shoal.FolderID, j shoal.JournalID, from, to shoal.Seq, head []byte) {
	return shoal.FolderID(r.take(16)), r.journal(), shoal.Seq(r.u64()), shoal.Seq(r.u64()), r.blob(MaxHead)
}

func (r *reader) parts() []PartRef {
	var list []PartRef
	for range r.count(MaxParts, partRefSize) {
		list = append(list, PartRef{Name: Name(r.take(16)), Size: r.u32(), Hash: Hash(r.take(32))})
	}
	return list
}
