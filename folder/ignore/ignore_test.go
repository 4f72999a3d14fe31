package ignore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// rules are the cases of one file of patterns. In the lists a slash at the end means: it is a folder.
type rules struct {
	name     string
	file     string
	ignored  []string
	recorded []string
}

// The rows follow gitignore(5), "Pattern format", from top to bottom.
var manual = []rules{
	{"a blank line matches nothing", "\n\n  \n", nil, []string{"a", "a/", " "}},
	{"a hash begins a comment", "#a\n", nil, []string{"a", "#a"}},
	{"a quoted hash is a hash", "\\#a\n", []string{"#a"}, []string{"a"}},
	{"a hash elsewhere is a hash", "a#b\n !x\n", []string{"a#b", " !x"}, []string{"a"}},
	{"trailing spaces do not count", "a   \n", []string{"a"}, []string{"a   "}},
	{"quoted trailing spaces count", "a\\ \nb\\  \n", []string{"a ", "b "}, []string{"a", "b", "b  "}},
	{"leading spaces and tabs count", " a\nb\t\n", []string{" a", "b\t"}, []string{"a", "b"}},
	{"a line may end as on Windows", "a\r\nb\r\n", []string{"a", "b"}, []string{"a\r"}},
	{"the last line needs no end", "a\nb", []string{"a", "b"}, nil},
	{"a byte order mark is left out", "\xef\xbb\xbfa\n", []string{"a"}, nil},

	{"the last match decides", "*.a\n!keep.a\nkeep.a\n!keep.a\n", []string{"x.a"}, []string{"keep.a"}},
	{"a quoted exclamation mark is one", "\\!a\n", []string{"!a"}, []string{"a"}},
	{"taking back what was not ignored does nothing", "!a\n", nil, []string{"a"}},
	{"nothing in an ignored folder comes back", "dir\n!dir/keep\n!keep\n", []string{"dir/", "dir/keep", "dir/deep/keep"}, []string{"keep"}},
	{"what an ignored folder's content pattern spares comes back", "dir/*\n!dir/keep\n", []string{"dir/x", "dir/deep/keep"}, []string{"dir/", "dir/keep"}},
	{"all but one", "/*\n!/a\n/a/*\n!/a/b\n", []string{"x", "x/y", "a/x"}, []string{"a/", "a/b/", "a/b/c"}},

	{"without a slash it is about names at any depth", "a\n", []string{"a", "a/", "x/a", "x/y/a/"}, []string{"b", "ab", "aa/b"}},
	{"a slash at the beginning binds to the root", "/a\n", []string{"a", "a/b"}, []string{"x/a"}},
	{"a slash in the middle binds to the root", "a/b\n", []string{"a/b", "a/b/c"}, []string{"x/a/b", "a/", "b"}},
	{"a slash at the end binds to folders, not to the root", "a/\n", []string{"a/", "x/a/", "a/b", "x/a/b"}, []string{"a", "x/a"}},
	{"both", "/a/\n", []string{"a/", "a/b"}, []string{"a", "x/a/"}},

	{"a star takes any bytes but a slash", "a*c\n/x/*.o\n", []string{"ac", "abc", "a.b.c", "y/abbc", "x/a.o", "x/.o"}, []string{"a/c", "x/y/a.o", "abcd"}},
	{"a star takes leading dots", "*\n!a\n", []string{".x", "b"}, []string{"a"}},
	{"a star for a folder in the middle", "a/*/b\n", []string{"a/x/b"}, []string{"a/b", "a/x/y/b"}},
	{"many stars", "*a*b*c*\n", []string{"abc", "xaxbxcx", "aabbcc"}, []string{"acb", "ab", "bca"}},
	{"a question mark takes one byte", "a?\n/b/?\n", []string{"ab", "a?", "b/x"}, []string{"a", "abc", "a/b", "b/xy"}},
	{"sets", "[ab]x\n[!ab]y\n[^a-c]z\n", []string{"ax", "bx", "cy", "dz"}, []string{"cx", "ay", "by", "bz"}},
	{"sets with odd members", "[]]1\n[]-]2\n[!]]3\n[a-]4\n[-a]5\n[a\\]b]6\n[\\\\]7\n[[]8\n",
		[]string{"]1", "]2", "-2", "x3", "a4", "-4", "-5", "]6", "b6", "\\7", "[8"}, []string{"x1", "a2", "]3", "b4", "\\6"}},
	{"ranges", "[a-cx-z]1\n[z-a]2\n[--0]3\n[a-c-e]4\n", []string{"b1", "y1", "z2", ".3", "-3", "b4", "-4", "e4"},
		[]string{"d1", "a2", "m2", "13", "d4"}},
	{"classes", "[[:digit:]]a\n[![:alpha:]]b\n[[:upper:][:digit:]_]c\n[[:space:]]d\n[[:xdigit:]-]e\n[[:punct:]]f\n",
		[]string{"1a", "1b", "Qc", "7c", "_c", " d", "Fe", "-e", "+f"}, []string{"xa", "xb", "qc", "xd", "ge", "af"}},
	{"an opening that is no class", "[[:a]x\n", []string{"[x", ":x", "ax"}, []string{"bx"}},
	{"a set never takes a slash", "a[!b]c\nx[/]y\n", []string{"axc"}, []string{"a/c", "x/y"}},
	{"a backslash takes the next as it is", "\\*\n\\a\\?\n\\[x]\n", []string{"*", "a?", "[x]"}, []string{"x", "ab", "x]"}},
	{"a quoted slash is a slash", "a\\/b\n", []string{"a/b"}, []string{"x/a/b"}},

	{"two stars at the beginning are any folders", "**/a\n**/b/c\n", []string{"a", "x/a", "x/y/a", "b/c", "x/b/c"}, []string{"c", "b/x/c"}},
	{"two stars at the end are everything inside", "a/**\n", []string{"a/x", "a/x/y"}, []string{"a/", "a", "b/a/x"}},
	{"two stars in the middle are folders or none", "a/**/b\n", []string{"a/b", "a/x/b", "a/x/y/b"}, []string{"a/", "x/a/b", "ab"}},
	{"two stars twice", "a/**/b/**/c\n", []string{"a/b/c", "a/x/b/y/c", "a/b/b/c/c", "a/b/x/b/x/c"}, []string{"a/c/b", "a/b/x"}},
	{"two stars alone are everything", "**\n", []string{"a", "a/b"}, nil},
	{"two stars as folders are all folders", "**/\n", []string{"a/", "a/b"}, []string{"a"}},
	{"two stars elsewhere are stars", "/a**b/c\n", []string{"ab/c", "axb/c"}, []string{"a/b/c"}},
	{"three stars are two", "a/***/b\n", []string{"a/b", "a/x/y/b"}, nil},
	{"all folders inside", "a/**/\n", []string{"a/x/", "a/x/y/", "a/x/f"}, []string{"a/f", "a/"}},

	{"names are bytes", "\xff*\nd\xc3?\n", []string{"\xff\xfe", "d\xc3\xa9"}, []string{"\xfe", "d\xe9"}},
	{"names may hold line feeds", "a*b\n", []string{"a\nb"}, nil},
	{"case counts", "a\n[A-C]\n", []string{"a", "B"}, []string{"A1", "b"}},
	{"an empty name in a pattern matches nothing", "a//b\n", nil, []string{"a/b", "a/x/b"}},
}

func isIgnored(m *Matcher, p string) bool {
	name, isDir := strings.CutSuffix(p, "/")
	return m.Match(shoal.Path(name), isDir)
}

func TestPatternsMeanWhatTheManualSays(t *testing.T) {
	for _, r := range manual {
		t.Run(r.name, func(t *testing.T) {
			m, problems := Parse([]byte(r.file))
			if len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			for _, p := range r.ignored {
				if !isIgnored(m, p) {
					t.Errorf("%q is not ignored by %q", p, r.file)
				}
			}
			for _, p := range r.recorded {
				if isIgnored(m, p) {
					t.Errorf("%q is ignored by %q", p, r.file)
				}
			}
		})
	}
}

// TestWhereWeFollowTheManual: git 2.39 ignores these, since it compares the part of a pattern before its first special
// byte by itself and takes what follows for a pattern that begins with "**"; its manual says that such stars are plain ones.
func TestWhereWeFollowTheManual(t *testing.T) {
	for _, r := range []struct{ file, recorded string }{
		{"a**/b\n", "ax/y/b"},
		{"/a**/b\n", "ax/y/b"},
		{"x/a**/b\n", "x/a/y/b"},
	} {
		m, problems := Parse([]byte(r.file))
		if len(problems) > 0 || isIgnored(m, r.recorded) {
			t.Errorf("%q is ignored by %q (%v)", r.recorded, r.file, problems)
		}
	}
}

func TestBadLinesAreReportedAndTheRestCounts(t *testing.T) {
	for _, r := range []struct {
		line string
		want error
	}{
		{"[a", ErrBracket}, {"a[", ErrBracket}, {"[]", ErrBracket}, {"[!]", ErrBracket}, {"[a\\", ErrBracket},
		{"[[:nope:]]", ErrBracket}, {"[[:alpha:", ErrBracket}, {"[a-\\", ErrBracket},
		{"a\\", ErrBackslash}, {"a\\/", ErrBackslash}, {"/", ErrEmpty}, {"!", ErrEmpty}, {"!/", ErrEmpty},
		{strings.Repeat("x", MaxPatternBytes+1), ErrTooLong},
	} {
		m, problems := Parse([]byte("first\n" + r.line + "\nlast\n"))
		if len(problems) != 1 || problems[0].Line != 2 || problems[0].Text != r.line || !errors.Is(problems[0].Err, r.want) {
			t.Errorf("%.20q: problems %.200v, want %v", r.line, problems, r.want)
		}
		if !isIgnored(m, "first") || !isIgnored(m, "last") || isIgnored(m, "other") {
			t.Errorf("%.20q: the other lines do not count", r.line)
		}
	}
}

func TestAProblemIsToldInALine(t *testing.T) {
	_, problems := Parse([]byte("a\n[b\n"))
	if got, want := fmt.Sprint(problems[0]), `line 2 ("[b"): a set "[…]" is not closed, or names a class that does not exist`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestTooManyPatternsAreCutOff(t *testing.T) {
	m, problems := Parse([]byte(strings.Repeat("x\n", MaxPatterns) + "y\nz\n"))
	if len(problems) != 1 || !errors.Is(problems[0].Err, ErrTooMany) || problems[0].Line != MaxPatterns+1 {
		t.Errorf("problems %v", problems)
	}
	if !isIgnored(m, "x") || isIgnored(m, "y") {
		t.Error("what is within the limit does not count, or what is beyond does")
	}
}

func TestNoMatcherIgnoresNothing(t *testing.T) {
	var m *Matcher
	if m.Match("a", false) {
		t.Error("a nil Matcher ignores")
	}
	m, _ = Parse([]byte("*\n"))
	if m.Match("", true) {
		t.Error("the root is ignored")
	}
}

// TestWhatIsInAnIgnoredFolderIsIgnored: so a walk may stop there.
func TestWhatIsInAnIgnoredFolderIsIgnored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := Parse([]byte(drawFile(t)))
		p := shoal.Path(drawPath(t))
		if m.Match(p, true) && !m.Match(p.Join(drawPath(t)), rapid.Bool().Draw(t, "folder")) {
			t.Errorf("%q is ignored, but not what is in it", p)
		}
	})
}

// TestTheOrderOfQuestionsDoesNotMatter: the Matcher remembers what it was asked last.
func TestTheOrderOfQuestionsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := []byte(drawFile(t))
		asked, _ := Parse(file)
		for range 10 {
			p, isDir := shoal.Path(drawPath(t)), rapid.Bool().Draw(t, "folder")
			fresh, _ := Parse(file)
			if asked.Match(p, isDir) != fresh.Match(p, isDir) {
				t.Errorf("%q: another answer after other questions", p)
			}
		}
	})
}

// TestNoPatternHangs: the classic ways to make a matcher try everything.
func TestNoPatternHangs(t *testing.T) {
	begin := time.Now()
	name := strings.Repeat("a", 255)
	deep := strings.Repeat("a/", 2000) + "a"
	for _, r := range []struct{ pattern, path string }{
		{strings.Repeat("*a", 2000) + "b", name},
		{strings.Repeat("*?", 127) + "b", name},
		{strings.Repeat("[a]*", 1000) + "b", name},
		{strings.Repeat("**/a/", 800) + "b", deep},
		{strings.Repeat("**/*a*/", 500) + "b", deep},
		{strings.Repeat("a/**/", 800) + "b", deep},
	} {
		m, problems := Parse([]byte(r.pattern))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if m.ignores(shoal.Path(r.path), false) {
			t.Errorf("%.20q matches", r.pattern)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// drawFile draws patterns of few letters, so that they meet drawPath's paths.
func drawFile(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{
		"a", "b", "ab", "A", ".", "*", "**", "?", "[ab]", "[!a]", "[a-b]", "[]a]", "[[:alpha:]]", "/", "/", "/", "\\a", "\\*", "\\ ", "\\/", "-", "[/b]",
	})
	var b strings.Builder
	for range rapid.IntRange(1, 5).Draw(t, "lines") {
		if rapid.IntRange(0, 3).Draw(t, "negated") == 0 {
			b.WriteByte('!')
		}
		for range rapid.IntRange(1, 6).Draw(t, "pieces") {
			b.WriteString(piece.Draw(t, "piece"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var pathNames = []string{"a", "b", "ab", "ba", "aab", ".a", "A", "-"}

func drawPath(t *rapid.T) string {
	names := rapid.SliceOfN(rapid.SampledFrom(pathNames), 1, 4).Draw(t, "path")
	return strings.Join(names, "/")
}

// FuzzParse: no file is too strange, and what was accepted can be asked.
func FuzzParse(f *testing.F) {
	for _, r := range manual {
		for _, p := range append(r.ignored, r.recorded...) {
			f.Add([]byte(r.file), p)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, p string) {
		m, problems := Parse(file)
		for _, problem := range problems {
			if problem.Line < 1 || problem.Err == nil || problem.String() == "" {
				t.Errorf("problem %+v", problem)
			}
		}
		path := shoal.Path(strings.TrimSuffix(p, "/"))
		if path.Validate() != nil {
			return
		}
		if m.Match(path, true) && !m.Match(path.Join("x"), false) {
			t.Errorf("%q is ignored, but not what is in it", path)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	m, _ := Parse([]byte("node_modules/\n*.o\n*.tmp\n~*\n/build\n**/cache/**\n.DS_Store\n[Tt]humbs.db\n!important.o\ndist/*.js\n"))
	paths := []shoal.Path{"src/lib/deep/one.go", "src/lib/deep/two.go", "src/lib/deep/three.go", "src/lib/deep/four.txt"}
	for i := 0; b.Loop(); i++ {
		m.Match(paths[i%len(paths)], false)
	}
}
