//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The vocabulary of the tables below: what a device does.

func writes(name, text string) func(actor) { return func(a actor) { a.write(name, text) } }

func renames(from, to string) func(actor) { return func(a actor) { a.rename(from, to) } }

func removes(name string) func(actor) { return func(a actor) { a.removeAll(name) } }

func chmods(name string, mode os.FileMode) func(actor) { return func(a actor) { a.chmod(name, mode) } }

func touches(name string) func(actor) {
	return func(a actor) { a.touch(name, time.Unix(1_700_000_000, 42)) }
}

func becomesFolder(name, inside, text string) func(actor) {
	return func(a actor) { a.remove(name); a.write(filepath.Join(name, inside), text) }
}

func becomesFile(name, text string) func(actor) {
	return func(a actor) { a.removeAll(name); a.write(name, text) }
}

// overwrites is mv over a name that exists.
func overwrites(from, to string) func(actor) {
	return func(a actor) { check(a.t, os.Rename(a.path(from), a.path(to))) }
}

func writesCopy(of, text string) func(actor) {
	return func(a actor) {
		for _, name := range a.copies(of) {
			a.write(name, text)
		}
	}
}

func resolves(name, keep string) func(actor) {
	return func(a actor) { a.d.do(a.t, "resolve", a.path(name), "--keep", keep) }
}

func all(acts ...func(actor)) func(actor) {
	return func(a actor) {
		for _, act := range acts {
			act(a)
		}
	}
}

// file and dir are what stands there before.
func file(d disk) { d.write("f", "first") }

func dir(d disk) { d.write("d/x", "x") }

func pAndQ(d disk) { d.write("p", "P"); d.write("q", "Q") }

// longName is as long as a name can be, with an ending.
var longName = strings.Repeat("long", 62) + "ab.jpeg"

var clashesOfTwo = []clash{
	{
		name: "two edits", before: file,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, keeps: []string{"of a", "of b"}, copies: 1,
	}, {
		name: "the same edit on both", before: file,
		first: deeds{writes("f", "same"), writes("f", "same")}, exact: layout{"f": "same"},
	}, {
		name: "the same new file on both", first: deeds{writes("n", "same"), writes("n", "same")}, exact: layout{"n": "same"},
	}, {
		name: "two new files of one name", first: deeds{writes("n.txt", "of a"), writes("n.txt", "of b")}, keeps: []string{"of a", "of b"}, copies: 1,
	}, {
		name: "deletion against edit", before: file, first: deeds{removes("f"), writes("f", "edit")}, exact: layout{"f": "edit"},
	}, {
		name: "edit against deletion", before: file, first: deeds{writes("f", "edit"), removes("f")}, exact: layout{"f": "edit"},
	}, {
		name: "deletion against chmod", before: file, first: deeds{removes("f"), chmods("f", 0o600)}, exact: layout{"f": ""},
	}, {
		name: "both delete", before: file, first: deeds{removes("f"), removes("f")}, exact: layout{"f": ""},
	}, {
		name: "both delete and one creates anew", before: file,
		first: deeds{removes("f"), removes("f")}, then: deeds{writes("f", "anew")}, exact: layout{"f": "anew"},
	}, {
		name: "rename against edit", before: file, first: deeds{renames("f", "g"), writes("f", "edit")}, exact: layout{"g": "edit", "f": ""},
	}, {
		name: "edit against rename", before: file, first: deeds{writes("f", "edit"), renames("f", "g")}, exact: layout{"g": "edit", "f": ""},
	}, {
		name: "rename twice against edit", before: file,
		first: deeds{all(renames("f", "g"), renames("g", "h")), writes("f", "edit")}, exact: layout{"h": "edit", "f": "", "g": ""},
	}, {
		name: "rename and edit against edit", before: file,
		first: deeds{all(renames("f", "g"), writes("g", "of a")), writes("f", "of b")}, keeps: []string{"of a", "of b"}, copies: anyNumber,
	}, {
		name: "rename against deletion", before: file, first: deeds{renames("f", "g"), removes("f")}, exact: layout{"g": "first", "f": ""},
	}, {
		name: "rename to two targets", before: file, first: deeds{renames("f", "g"), renames("f", "h")}, exact: layout{"f": "", "g": "first", "h": "first"},
	}, {
		name: "rename of a folder against a new file inside", before: dir,
		first: deeds{renames("d", "e"), writes("d/new", "new")}, exact: layout{"e/x": "x", "e/new": "new", "d/x": "", "d/new": ""},
	}, {
		name: "rename of a folder against an edit inside", before: dir,
		first: deeds{renames("d", "e"), writes("d/x", "edit")}, exact: layout{"e/x": "edit", "d/x": ""},
	}, {
		name: "deletion of a folder against a new file inside", before: dir, first: deeds{removes("d"), writes("d/new", "new")}, exact: layout{"d/new": "new", "d/x": ""},
	}, {
		name: "deletion of a folder against an edit inside", before: dir, first: deeds{removes("d"), writes("d/x", "edit")}, exact: layout{"d/x": "edit"},
	}, {
		name: "rename of a folder to two targets", before: dir,
		first: deeds{renames("d", "e"), renames("d", "g")}, exact: layout{"d/x": "", "e/x": "x", "g/x": "x"},
	}, {
		name: "chmod against edit", before: file, first: deeds{chmods("f", 0o640), writes("f", "edit")}, exact: layout{"f": "edit"}, check: hasMode("f", 0o640),
	}, {
		name: "edit against chmod", before: file, first: deeds{writes("f", "edit"), chmods("f", 0o600)}, exact: layout{"f": "edit"}, check: hasMode("f", 0o600),
	}, {
		name: "touch against edit", before: file, first: deeds{touches("f"), writes("f", "edit")}, exact: layout{"f": "edit"},
	}, {
		name: "edit against touch", before: file, first: deeds{writes("f", "edit"), touches("f")}, exact: layout{"f": "edit"},
	}, {
		name: "chmod against chmod", before: file, first: deeds{chmods("f", 0o600), chmods("f", 0o640)}, exact: layout{"f": "first"},
	}, {
		name: "chmod against rename", before: file, first: deeds{chmods("f", 0o600), renames("f", "g")}, exact: layout{"f": "", "g": "first"},
	}, {
		name: "a name of 255 bytes", before: func(d disk) { d.write(longName, "first") },
		first: deeds{writes(longName, "of a"), writes(longName, "of b")}, keeps: []string{"of a", "of b"}, copies: 1,
	}, {
		name: "both forms of one letter", first: deeds{writes("caf\u00e9", "composed"), writes("cafe\u0301", "decomposed")},
		exact: layout{"caf\u00e9": "composed", "cafe\u0301": "decomposed"},
	}, {
		name: "a new folder against a new file", first: deeds{writes("n/inside", "of a"), writes("n", "of b")},
		exact: layout{"n/inside": "of a"}, keeps: []string{"of b"}, copies: 1,
	}, {
		name: "file becomes symlink against edit", before: file,
		first: deeds{func(a actor) { a.remove("f"); a.symlink("x", "f") }, writes("f", "edit")}, keeps: []string{"edit"}, copies: 1,
	},
}

var clashesOfThree = []clash{
	{
		name: "three edits", before: file, first: deeds{writes("f", "of a"), writes("f", "of b"), writes("f", "of c")},
		keeps: []string{"of a", "of b", "of c"}, copies: 2,
	}, {
		name: "two edit the same conflict copy", before: file,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, then: deeds{nil, writesCopy("f", "copy by b"), writesCopy("f", "copy by c")},
		keeps: []string{"copy by b", "copy by c"}, copies: anyNumber, check: holds(3),
	}, {
		name: "the winner is edited while a copy stands beside it", before: file,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, then: deeds{nil, nil, writes("f", "of c")},
		exact: layout{"f": "of c"}, copies: 1, check: holds(2),
	}, {
		name: "one edits the winner, one the copy", before: file,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, then: deeds{writes("f", "new winner"), writesCopy("f", "new copy")},
		keeps: []string{"new winner", "new copy"}, copies: anyNumber,
	}, {
		name: "two edit the winner while a copy stands", before: file,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, then: deeds{writes("f", "again a"), nil, writes("f", "again c")},
		keeps: []string{"again a", "again c"}, copies: 2, check: holds(3),
	}, {
		name: "opposite resolves at once", before: file, online: true,
		first: deeds{writes("f", "of a"), writes("f", "of b")}, then: deeds{resolves("f", "winner"), nil, resolves("f", "copy")},
		keeps: []string{"of a", "of b"}, copies: anyNumber,
	}, {
		// One deletes the copy, the other moves it over the file: each content that is gone was replaced by somebody who had seen it.
		name: "opposite resolves by hand at once", before: file, first: deeds{writes("f", "of a"), writes("f", "of b")},
		then: deeds{
			func(a actor) { a.remove(a.copies("f")[0]) },
			func(a actor) { check(a.t, os.Rename(a.path(a.copies("f")[0]), a.path("f"))) },
		},
		copies: anyNumber, check: func(o *outcome) {
			if o.held("of a")+o.held("of b") == 0 {
				o.t.Error("both contents are lost")
			}
		},
	}, {
		name: "file becomes folder against edit", before: file, first: deeds{becomesFolder("f", "in", "inside"), writes("f", "edit")},
		exact: layout{"f/in": "inside"}, keeps: []string{"edit"}, copies: 1,
	}, {
		name: "file becomes folder twice", before: file, first: deeds{becomesFolder("f", "in a", "of a"), becomesFolder("f", "in b", "of b")},
		exact: layout{"f/in a": "of a", "f/in b": "of b"},
	}, {
		name: "folder becomes file against a new file inside", before: dir, first: deeds{becomesFile("d", "file"), writes("d/new", "new")},
		exact: layout{"d/new": "new", "d/x": ""}, keeps: []string{"file"}, copies: 1,
	}, {
		name: "folder becomes file against an edit inside", before: dir, first: deeds{becomesFile("d", "file"), writes("d/x", "edit")},
		exact: layout{"d/x": "edit"}, keeps: []string{"file"}, copies: 1,
	}, {
		name: "folder becomes file against its deletion", before: dir, first: deeds{becomesFile("d", "file"), removes("d")}, exact: layout{"d": "file"},
	}, {
		name: "folder becomes file against its rename", before: dir, first: deeds{becomesFile("d", "file"), renames("d", "e")}, exact: layout{"d": "file", "e/x": "x"},
	}, {
		name: "folder becomes file against file of another", before: dir, first: deeds{becomesFile("d", "of a"), becomesFile("d", "of b")},
		keeps: []string{"of a", "of b"}, copies: 1,
	}, {
		name: "three rename to three targets", before: file, first: deeds{renames("f", "g"), renames("f", "h"), renames("f", "i")},
		exact: layout{"f": "", "g": "first", "h": "first", "i": "first"},
	}, {
		name: "swap against edit", before: pAndQ,
		first:  deeds{all(renames("p", "t"), renames("q", "p"), renames("t", "q")), writes("p", "edit")},
		copies: anyNumber, check: hold("edit", "Q"),
	}, {
		name: "two folders moved into each other", before: func(d disk) { d.write("d1/x", "1"); d.write("d2/x", "2") },
		first: deeds{renames("d1", "d2/d1"), renames("d2", "d1/d2")}, copies: anyNumber, check: hold("1", "2"),
	}, {
		name: "mv p q against mv q p", before: pAndQ, first: deeds{overwrites("p", "q"), overwrites("q", "p")}, exact: layout{"p": "Q", "q": "P"},
	}, {
		name: "delete, edit and rename", before: file, first: deeds{removes("f"), writes("f", "edit"), renames("f", "g")},
		copies: anyNumber, check: hold("edit"),
	}, {
		name: "rename of a folder against a new file and a deletion", before: dir,
		first: deeds{renames("d", "e"), writes("d/new", "new"), removes("d")}, copies: anyNumber, check: hold("x", "new"),
	}, {
		name: "chmod, touch and edit", before: file, first: deeds{chmods("f", 0o600), touches("f"), writes("f", "edit")},
		exact: layout{"f": "edit"}, check: hasMode("f", 0o600),
	}, {
		name: "a name of 255 bytes three times", before: func(d disk) { d.write(longName, "first") },
		first: deeds{writes(longName, "of a"), writes(longName, "of b"), writes(longName, "of c")}, keeps: []string{"of a", "of b", "of c"}, copies: 2,
	},
}
