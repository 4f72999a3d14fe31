package index

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block"
	"github.com/shoalmesh/shoal/conflict"
	"github.com/shoalmesh/shoal/mesh"
)

const unwritten = "index: body follows"

type Options struct {
	Clock        func() time.Time
	Rand         io.Reader
	NoSync       bool
	LoseUnsynced bool
	Log          *slog.Logger
}

type DB struct{}

func Open(path string, o Options) (*DB, error)                           { panic(unwritten) }
func OpenMemory(o Options) *DB                                           { panic(unwritten) }
func (db *DB) Crash() *DB                                                { panic(unwritten) }
func (db *DB) Sync() error                                               { panic(unwritten) }
func (db *DB) Close() error                                              { panic(unwritten) }
func (db *DB) Check(ctx context.Context) error                           { panic(unwritten) }
func (db *DB) Database() uint64                                          { panic(unwritten) }
func (db *DB) Folders() ([]shoal.FolderID, error)                        { panic(unwritten) }
func (db *DB) DropFolder(id shoal.FolderID) error                        { panic(unwritten) }
func (db *DB) Folder(id shoal.FolderID, c FolderConfig) (*Folder, error) { panic(unwritten) }

type FolderConfig struct {
	Mesh     shoal.MeshID
	Identity *mesh.Identity
	Keys     func() *mesh.FolderKeys
	Roster   func() *mesh.State
}

type Folder struct{}

func (f *Folder) ID() shoal.FolderID                                   { panic(unwritten) }
func (f *Folder) Update(ctx context.Context, fn func(*Tx) error) error { panic(unwritten) }
func (f *Folder) View(fn func(*Tx) error) error                        { panic(unwritten) }
func (f *Folder) Lineage() (conflict.Lineage, error)                   { panic(unwritten) }
func (f *Folder) SymlinkContent(target string) block.ContentID         { panic(unwritten) }

type Tx struct{}

func (tx *Tx) Row(p shoal.Path) (Row, bool, error)                       { panic(unwritten) }
func (tx *Tx) Desired(p shoal.Path) (*State, error)                      { panic(unwritten) }
func (tx *Tx) Base(p shoal.Path) (*Base, error)                          { panic(unwritten) }
func (tx *Tx) SetBase(p shoal.Path, b *Base) error                       { panic(unwritten) }
func (tx *Tx) BasesIn(dir shoal.Path) iter.Seq2[string, *Base]           { panic(unwritten) }
func (tx *Tx) Walk(under shoal.Path, fn func(Row) error) error           { panic(unwritten) }
func (tx *Tx) Needs(after shoal.Path, max int) ([]shoal.Path, error)     { panic(unwritten) }
func (tx *Tx) NeedTotals() (files, bytes int64)                          { panic(unwritten) }
func (tx *Tx) Totals() (files, bytes int64)                              { panic(unwritten) }
func (tx *Tx) Conflicts(after shoal.Path, max int) ([]shoal.Path, error) { panic(unwritten) }
func (tx *Tx) ConflictCount() int64                                      { panic(unwritten) }
func (tx *Tx) Resolution(p shoal.Path) (conflict.Resolution, error)      { panic(unwritten) }
func (tx *Tx) Follows(max int) ([]shoal.Path, error)                     { panic(unwritten) }
func (tx *Tx) ClearFollow(p shoal.Path) error                            { panic(unwritten) }
func (tx *Tx) Recipe(c block.ContentID) (block.Recipe, bool, error)      { panic(unwritten) }
func (tx *Tx) PutRecipe(c block.ContentID, r block.Recipe) error         { panic(unwritten) }
func (tx *Tx) FindBlock(id block.ID, max int) ([]Place, error)           { panic(unwritten) }
func (tx *Tx) Record(d shoal.Dot) (Record, bool, error)                  { panic(unwritten) }

func (tx *Tx) Append(drafts []Entry) ([]shoal.Dot, error) { panic(unwritten) }
func (tx *Tx) Own() (j shoal.JournalID, open bool)        { panic(unwritten) }
func (tx *Tx) OpenJournal() error                         { panic(unwritten) }
func (tx *Tx) ContinueJournal() error                     { panic(unwritten) }
func (tx *Tx) JournalShared() bool                        { panic(unwritten) }
func (tx *Tx) MarkShared() error                          { panic(unwritten) }
func (tx *Tx) Resign() error                              { panic(unwritten) }

func (tx *Tx) Lineage() conflict.Lineage                { panic(unwritten) }
func (tx *Tx) Frontier() map[shoal.JournalID]JournalPos { panic(unwritten) }
func (tx *Tx) ReadAfter(j shoal.JournalID, after shoal.Seq, maxBytes int) (Batch, error) {
	panic(unwritten)
}
func (tx *Tx) Accept(b Batch) (Accepted, error)                          { panic(unwritten) }
func (tx *Tx) Digests(j shoal.JournalID) ([]BucketDigest, []byte, error) { panic(unwritten) }
func (tx *Tx) Bucket(j shoal.JournalID, n uint64) ([][]byte, error)      { panic(unwritten) }
func (tx *Tx) Stage(j shoal.JournalID, head []byte, list []BucketDigest) (missing []uint64, err error) {
	panic(unwritten)
}
func (tx *Tx) StageBucket(j shoal.JournalID, n uint64, records [][]byte) (Accepted, error) {
	panic(unwritten)
}
func (tx *Tx) FinishStage(j shoal.JournalID) (Accepted, error) { panic(unwritten) }
func (tx *Tx) ApplyCuts() (Accepted, error)                    { panic(unwritten) }
func (tx *Tx) Forks() ([]ForkError, error)                     { panic(unwritten) }

func (tx *Tx) SignStatus(exceptions []Exception, complete bool) ([]byte, error) { panic(unwritten) }
func (tx *Tx) PutStatus(dev shoal.DeviceID, raw []byte) (newer bool, err error) { panic(unwritten) }
func (tx *Tx) Status(dev shoal.DeviceID) (Status, bool, error)                  { panic(unwritten) }
func (tx *Tx) Statuses() (map[shoal.DeviceID][]byte, error)                     { panic(unwritten) }

func (tx *Tx) Problems() ([]Problem, error)                        { panic(unwritten) }
func (tx *Tx) SetProblem(p shoal.Path, kind, message string) error { panic(unwritten) }

func DecodeHead(raw []byte) (Head, error)     { panic(unwritten) }
func DecodeStatus(raw []byte) (Status, error) { panic(unwritten) }
