package shoal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// These tests hold the house together: who may import whom, where a library may be seen, and which packages have no doors to
// the world. They read the source of all platforms, so no build tag hides an import. A failure names the rule and its reason;
// if the rule is wrong, change it here for all, with the reason, and in the design.

const module = "github.com/shoalmesh/shoal"

// room is the rule of one package. A package without a row follows the row of the nearest folder above it.
type room struct {
	pkg     string
	imports string // packages of ours, exactly these, besides the root package and what lies in the same top-level folder
	only    bool   // not even what lies in the same top-level folder
	planned bool   // the design has it; it need not exist yet
	reason  string
}

// rooms is the table of floors, from the ground up.
var rooms = []room{
	{pkg: "", only: true, reason: "the shared words import nothing of ours, so that everybody can use them"},

	{pkg: "crashpoint", only: true, reason: "ground: a name for a moment, which everybody may give; it imports nothing of ours, not even the shared words"},

	{pkg: "block", reason: "floor 0: blocks know neither devices nor records"},
	{pkg: "conflict", only: true, reason: "floor 0: who wins is decided from the records alone"},
	{pkg: "mesh", reason: "floor 0: trust is decided from signed statements alone"},

	{pkg: "index", imports: "block conflict mesh", reason: "floor 1: the index is told what travelled and what is on disk, it does not look"},
	{pkg: "index/kv", only: true, reason: "the transactional store knows bytes, not records"},

	{pkg: "p2p", imports: "mesh", reason: "floor 2: the network moves bytes between members and knows nothing of folders"},
	{pkg: "folder", imports: "block conflict index", reason: "floor 2: a folder on a disk knows no network"},
	{pkg: "folder/disk", only: true, reason: "the door to the file system knows nothing of what is kept there"},
	{pkg: "folder/disk/disktest", imports: "folder/disk", only: true, reason: "the file system in memory stands in for the door and knows no more than it"},
	{pkg: "folder/ignore", only: true, planned: true, reason: "patterns are matched against names, nothing else"},
	{pkg: "folder/plan", imports: "conflict", only: true, reason: "the planner is a function of three trees: no disk, no index"},
	{pkg: "folder/watch", only: true, reason: "watching only says where something may have happened"},

	{pkg: "indexexchange", imports: "block index mesh p2p", planned: true, reason: "floor 3: records are exchanged without looking at a disk"},
	{pkg: "blockexchange", imports: "block mesh p2p", reason: "floor 3: blocks are exchanged without knowing files or records"},

	{
		pkg: "vault", imports: "block block/packstore block/s3store conflict mesh index p2p indexexchange blockexchange",
		reason: "floor 4: a vault has no disk to materialise on; it pins what it shares with others in a bucket; its tests keep blocks in the real stores",
	},
	{pkg: "history", imports: "block conflict mesh index folder blockexchange", planned: true, reason: "floor 4: stands on floors 0 to 3"},
	{pkg: "share", imports: "block conflict mesh index p2p folder blockexchange", planned: true, reason: "floor 4: stands on floors 0 to 3"},

	{
		pkg:     "node",
		imports: "block block/packstore block/s3store conflict mesh index p2p folder folder/disk folder/ignore folder/watch indexexchange blockexchange vault vault/ledger vault/replica history share",
		reason:  "floor 5: builds everything below from a config",
	},
	{pkg: "node/durable", only: true, reason: "a file is replaced without knowing what is in it"},
	{pkg: "node/metrics", only: true, reason: "the text of figures is written without knowing what they are of"},
	{pkg: "node/sdnotify", only: true, reason: "the service manager is told a state, whatever runs"},
	{pkg: "node/parts", only: true, reason: "parts are run together without knowing what they do"},
	{pkg: "node/control", only: true, reason: "the control API is words over a socket: the program and scripts use it without linking the engine"},

	{pkg: "gateway", imports: "node node/control", planned: true, reason: "floor 6: people reach the device through node"},
	{pkg: "mount", imports: "node", planned: true, reason: "floor 6: the mount reads through node"},

	{pkg: "packaging", only: true, reason: "what installs the program is text; only its tests are code"},
	{pkg: "cmd/shoal", imports: "node node/control node/keeper gateway mount", reason: "floor 7: the program parses and prints, and does nothing that node could do"},
	{
		pkg: "e2e/simulation", only: true,
		imports: "block block/blocktest conflict mesh index folder folder/disk folder/disk/disktest indexexchange blockexchange vault",
		reason:  "the simulated mesh drives the real parts by hand, without network and goroutines",
	},
	{
		pkg: "e2e/faulty", only: true, imports: "block mesh p2p indexexchange blockexchange node/rosterfile",
		reason: "the faulty device uses the real network, keys and hashes, and encodes all that it sends by hand; a thief reads the home that it stole",
	},
	{
		pkg: "e2e/kept", only: true, imports: "block block/packstore mesh index node/rosterfile",
		reason: "the data folder of a vault is read, and filled, by the packages that know its files, without the vault",
	},
	{pkg: "e2e", imports: "node/control block/s3store/s3test", planned: true, reason: "end-to-end tests run the built program and see what a user sees"},
}

// library is the rule of one library, by the beginning of its import paths.
type library struct {
	prefix string
	where  string // packages that may import it, with all below them; empty: everybody; "test": test files only
	reason string
}

var libraries = []library{
	{"github.com/libp2p/", "p2p", "the network library must be replaceable by a simulated one"},
	{"github.com/multiformats/go-multiaddr", "p2p", "addresses are strings outside of the network"},
	{"github.com/multiformats/go-multistream", "p2p", "protocol negotiation is the network's own affair"},
	{"github.com/quic-go/", "p2p", "transports are the network's own affair"},
	{"filippo.io/cpace", "p2p", "pairing is the only user of the password-authenticated exchange, behind one function"},
	{"go.etcd.io/bbolt", "index/kv block/packstore block/s3store", "the database must be replaceable by one in memory"},
	{"github.com/minio/minio-go/v7", "block/s3store", "buckets are one store's own affair"},
	{"github.com/spf13/", "cmd/shoal", "commands and flags are the program's own affair"},
	{"github.com/kardianos/service", "cmd/shoal", "only the program installs itself"},
	{"rsc.io/qr", "cmd/shoal", "only the program draws on a terminal"},
	{"github.com/fsnotify/fsnotify", "folder/watch", "events are hints; one package turns them into dirty folders"},
	{"github.com/ipfs/go-cid", "block p2p/internal/rendezvous", "block IDs are 32 bytes everywhere else; the hash table knows providers by CID"},
	{"github.com/multiformats/go-multihash", "block p2p/internal/rendezvous", "block IDs are 32 bytes everywhere else; the hash table knows providers by CID"},
	{"github.com/ipfs/go-datastore", "p2p/internal/rendezvous", "what the hash table keeps for strangers"},
	{"github.com/ipfs/go-log/v2", "p2p", "the hash table's own log, to keep it quiet"},
	{"github.com/klauspost/compress", "block", "only sealing compresses"},
	{"github.com/tyler-smith/go-bip39", "mesh p2p", "only the recovery phrase and the spoken code need words"},
	{"github.com/mr-tron/base58", ". p2p", "the text form of a device ID has one home"},
	{"github.com/zeebo/blake3", "", "the hash of all formats"},
	{"lukechampine.com/blake3", "block", "a second implementation, to test the first against"},
	{"github.com/tidwall/btree", "index/kv folder/disk/disktest", "ordered maps belong to stores in memory"},
	{"google.golang.org/protobuf", "", "the encoding of all formats"},
	{"golang.org/x/", "", "the extended standard library"},
	{"pgregory.net/rapid", "test", "properties are for tests"},
	{"github.com/rogpeppe/go-internal", "test", "scripts are for tests"},
}

// pure are the packages without doors: no disk, network, clock, chance, lock, log or goroutine. The same arguments always give
// the same answer, which is why all devices agree and why whole meshes run in one test.
var pure = []string{"conflict", "folder/plan"}

// doors are what a pure package may not import, and clocks what it may not call from package time.
var (
	doors = []string{
		"context", "crypto/rand", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "os/signal",
		"os/user", "path/filepath", "runtime", "sync", "sync/atomic", "syscall", "unsafe",
	}
	clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}
)

// source is one Go file. Its package is its folder, relative to the root; the root's own is "".
type source struct {
	name, pkg string
	test      bool
	imports   []string
}

// sources reads the imports of all Go files of this module.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(name, "go.mod")); d.IsDir() && name != "." && err == nil {
			return fs.SkipDir // a module of its own
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{name: filepath.ToSlash(name), test: strings.HasSuffix(name, "_test.go")}
		if s.pkg = path.Dir(s.name); s.pkg == "." {
			s.pkg = ""
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: import %s: %w", name, i.Path.Value, err)
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ours returns the package of ours that an import path names.
func ours(importPath string) (pkg string, ok bool) {
	if importPath == module {
		return "", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// within tells whether pkg is dir or lies below it.
func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// hall returns the top-level folder of a package; the program's is cmd/shoal.
func hall(pkg string) string {
	if within(pkg, "cmd/shoal") {
		return "cmd/shoal"
	}
	top, _, _ := strings.Cut(pkg, "/")
	return top
}

// testOnly tells whether a package is a double or a suite for tests: its name ends in "test".
func testOnly(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// roomOf returns the rule of a package: its own row or that of the nearest folder above it.
func roomOf(pkg string) (room, bool) {
	for dir := pkg; ; dir = path.Dir(dir) {
		if i := slices.IndexFunc(rooms, func(r room) bool { return r.pkg == dir }); i >= 0 {
			return rooms[i], true
		}
		if !strings.Contains(dir, "/") {
			return room{}, false
		}
	}
}

// allows tells whether a file of the package may import another package of ours.
func (r room) allows(s source, imported string) bool {
	switch {
	case imported == "" || imported == s.pkg:
		return s.pkg != "crashpoint"
	case imported == "crashpoint":
		return s.pkg != "" // the shared words have no moments
	case testOnly(imported):
		// What a test file may borrow: doubles of its own hall and of every hall that it stands on.
		return (s.test || testOnly(s.pkg)) && (hall(imported) == hall(s.pkg) || r.standsOn(hall(imported)))
	case within(imported, r.pkg) && r.pkg != "":
		return true
	case !r.only && hall(imported) == hall(s.pkg):
		return true
	case s.test && hall(imported) == hall(s.pkg):
		return true
	case s.test && r.builtWith(imported):
		return true
	}
	return slices.Contains(strings.Fields(r.imports), imported)
}

// builtWith tells whether something that the room imports itself imports pkg: a test that builds the one needs the other.
func (r room) builtWith(pkg string) bool {
	return slices.ContainsFunc(strings.Fields(r.imports), func(p string) bool {
		below, ok := roomOf(p)
		return ok && slices.Contains(strings.Fields(below.imports), pkg)
	})
}

func (r room) standsOn(h string) bool {
	return slices.ContainsFunc(strings.Fields(r.imports), func(p string) bool { return hall(p) == h })
}

// TestTheRulesCanFail holds the rules against imports that the tree does not have.
func TestTheRulesCanFail(t *testing.T) {
	code := func(pkg string) source { return source{name: pkg + "/x.go", pkg: pkg} }
	test := func(pkg string) source { return source{name: pkg + "/x_test.go", pkg: pkg, test: true} }
	tests := []struct {
		name     string
		from     source
		imported string
		want     bool
	}{
		{"everybody may use the shared words", code("conflict"), "", true},
		{"the shared words use nobody", code(""), "block", false},
		{"everybody may name a moment", code("index/kv"), "crashpoint", true},
		{"the shared words name no moments", code(""), "crashpoint", false},
		{"what names moments uses nobody", code("crashpoint"), "", false},
		{"a floor may use a lower one", code("index"), "conflict", true},
		{"a floor may not use a higher one", code("conflict"), "index", false},
		{"a floor may not use its own level", code("indexexchange"), "blockexchange", false},
		{"nobody reaches past a parent", code("indexexchange"), "index/kv", false},
		{"a hall may use its own rooms", code("folder"), "folder/plan", true},
		{"a room of its own may not use its hall", code("folder/disk"), "folder", false},
		{"a room without a row follows its hall", code("index/anything"), "block", true},
		{"code may not use a test double", code("folder"), "folder/disk/disktest", false},
		{"tests may use a test double of their hall", test("folder"), "folder/disk/disktest", true},
		{"tests may use a test double from below", test("index"), "block/blocktest", true},
		{"tests may not use a test double from above", test("block"), "folder/disk/disktest", false},
		{"tests may not use a higher floor", test("conflict"), "index", false},
		{"an external test may use its own package", test("conflict"), "conflict", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, ok := roomOf(tt.from.pkg)
			if !ok {
				t.Fatalf("%q has no row", tt.from.pkg)
			}
			if got := r.allows(tt.from, tt.imported); got != tt.want {
				t.Errorf("%s may import %q: %v", tt.from.name, tt.imported, got)
			}
		})
	}
	for _, l := range libraries {
		if l.where != "" && l.allows(code("conflict")) {
			t.Errorf("%s may be seen everywhere", l.prefix)
		}
	}
}

func TestPackagesImportOnlyLowerFloors(t *testing.T) {
	for _, s := range sources(t) {
		r, ok := roomOf(s.pkg)
		if !ok {
			t.Errorf("%s: package %q has no floor: give it a row in the table of this test, with the reason", s.name, s.pkg)
			continue
		}
		for _, i := range s.imports {
			if pkg, ok := ours(i); ok && !r.allows(s, pkg) {
				t.Errorf("%s imports %q, but %q may not: %s", s.name, pkg, s.pkg, r.reason)
			}
		}
	}
}

func TestLibrariesStayInThePackageThatWrapsThem(t *testing.T) {
	for _, s := range sources(t) {
		for _, i := range s.imports {
			if _, own := ours(i); own || !strings.Contains(strings.Split(i, "/")[0], ".") {
				continue // ours, or the standard library
			}
			at := slices.IndexFunc(libraries, func(l library) bool { return strings.HasPrefix(i, l.prefix) })
			if at < 0 {
				t.Errorf("%s imports %s, which has no home: give it a row in the table of this test, with the reason", s.name, i)
				continue
			}
			if l := libraries[at]; !l.allows(s) {
				t.Errorf("%s imports %s, but only %q may: %s", s.name, i, l.where, l.reason)
			}
		}
	}
}

func (l library) allows(s source) bool {
	if l.where == "" {
		return true
	}
	return slices.ContainsFunc(strings.Fields(l.where), func(w string) bool {
		switch w {
		case "test":
			return s.test || testOnly(s.pkg)
		case ".":
			return s.pkg == ""
		}
		return within(s.pkg, w)
	})
}

func TestTablesNameOnlyWhatExists(t *testing.T) {
	exists := map[string]bool{}
	for _, s := range sources(t) {
		exists[s.pkg] = true
	}
	for _, r := range rooms {
		if r.reason == "" {
			t.Errorf("the rule of %q gives no reason", r.pkg)
		}
		if !exists[r.pkg] && !r.planned {
			t.Errorf("the rule of %q is about a package that does not exist", r.pkg)
		}
		for _, p := range strings.Fields(r.imports) {
			if _, known := roomOf(p); !known && !exists[p] {
				t.Errorf("the rule of %q allows %q, which does not exist", r.pkg, p)
			}
		}
	}
	for _, p := range pure {
		if !exists[p] {
			t.Errorf("%q is called pure and does not exist", p)
		}
	}
	gomod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range libraries {
		if !strings.Contains(string(gomod), "\t"+l.prefix) {
			t.Errorf("the rule of %s is about a library that go.mod does not have", l.prefix)
		}
	}
}

func TestPurePackagesHaveNoDoors(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || !slices.Contains(pure, s.pkg) {
			continue
		}
		for _, i := range s.imports {
			if slices.Contains(doors, i) {
				t.Errorf("%s imports %s, but %q is pure: hand the value in instead", s.name, i, s.pkg)
			}
		}
		file, err := parser.ParseFile(token.NewFileSet(), s.name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine, but %q is pure", s.name, s.pkg)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
					t.Errorf("%s calls time.%s, but %q is pure: hand the time in instead", s.name, n.Sel.Name, s.pkg)
				}
			}
			return true
		})
	}
}
