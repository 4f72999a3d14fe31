package index

import "github.com/shoalmesh/shoal"

// Batch is a piece of a journal that ends at a head: all live records after From.
type Batch struct {
	Journal  shoal.JournalID
	From, To shoal.Seq
	Records  [][]byte // sealed, in seq order, each live at To
	Head     []byte   // signed, at To
}

// Accepted is what Accept and its kin changed.
type Accepted struct {
	Paths    []shoal.Path // touched, in no order; at most MaxAcceptedPaths
	More     bool         // Paths was cut short: look at everything
	Problems []Problem    // records that were set aside
	Done     bool         // the frontier moved
}

// MaxAcceptedPaths bounds Accepted.Paths.
const MaxAcceptedPaths = 10_000

// Exception is a path that a device has not applied although it received it.
type Exception struct {
	Path   shoal.Path
	Reason Reason
}

// Reason says why a path is not applied. Numbers are part of the status format and never reused.
type Reason uint8

// The reasons of exceptions.
const (
	ReasonOwed     Reason = 1 // still to be fetched or applied
	ReasonExcluded Reason = 2 // ignored or deselected on that device
	ReasonOnDemand Reason = 3 // fetched when it is read
	ReasonError    Reason = 4
)

// MaxExceptions bounds Status.Exceptions; a device with more is not Complete.
const MaxExceptions = 1000

// Status is what a device says about itself in one folder. Newer is: a greater Database, then a greater Counter.
type Status struct {
	Mesh     shoal.MeshID
	Folder   shoal.FolderID
	Device   shoal.DeviceID
	Database uint64 // of that device; a newer database voids what an older one said
	Counter  uint64

	Received map[shoal.JournalID]shoal.Seq // its frontier
	Applied  map[shoal.JournalID]shoal.Seq // its frontier as far as its disk shows it, but for Exceptions

	Owed, OwedBytes int64 // paths and bytes of content that its disk still lacks
	Exceptions      []Exception
	Complete        bool    // Applied and Exceptions tell everything; else Applied counts for nothing
	Trouble         Trouble // why a vault takes in nothing more
	Proofs          []Proof // what it knows of the copies of vaults
	Store           StoreID // of a vault
	Joining         bool    // its disk may hold what is not in Received: it was not looked at as a whole yet, or the folder waits for others
}
