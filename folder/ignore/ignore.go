package ignore

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/shoalmesh/shoal"
)

// Limits of a file of patterns. What is beyond is left out and reported.
const (
	MaxPatterns     = 10_000
	MaxPatternBytes = shoal.MaxPathBytes
)

// What is wrong with a line.
var (
	ErrTooLong   = fmt.Errorf("longer than %d bytes", MaxPatternBytes)
	ErrTooMany   = fmt.Errorf("more than %d patterns", MaxPatterns)
	ErrBracket   = errors.New("a set \"[…]\" is not closed, or names a class that does not exist")
	ErrBackslash = errors.New("a backslash at the end has nothing to quote")
	ErrEmpty     = errors.New("nothing to match")
)

// Problem is a line that was left out: as in git, it matches nothing, and the others count.
type Problem struct {
	Line int    // from 1
	Text string // as written
	Err  error  // one of the above
}

// String is for people.
func (p Problem) String() string {
	text := p.Text
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return fmt.Sprintf("line %d (%q): %v", p.Line, text, p.Err)
}

// Matcher knows which paths are ignored. It does not change and may be used at once; a nil Matcher ignores nothing.
type Matcher struct {
	rules []rule
	// last is the folder that was looked up last: a walk asks for all in one folder in a row.
	last atomic.Pointer[verdict]
}

// verdict is what is known of a folder.
type verdict struct {
	dir     shoal.Path
	ignored bool
}

// rule is one pattern.
type rule struct {
	negated    bool
	folderOnly bool
	anchored   bool // about the path from the root, not the name
	segments   []segment
}

// Parse reads a file of patterns. Lines that cannot be read are left out and reported, in order; the rest counts.
func Parse(file []byte) (*Matcher, []Problem) {
	m := &Matcher{}
	var problems []Problem
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) // a byte order mark, as some editors write
	number := 0
	for line := range bytes.Lines(file) {
		number++
		text := string(bytes.TrimSuffix(line, []byte("\n")))
		text = strings.TrimSuffix(text, "\r")
		r, err := parseRule(text)
		if err == nil && len(m.rules) >= MaxPatterns {
			err = ErrTooMany
		}
		switch err {
		case nil:
			m.rules = append(m.rules, r)
		case errNothing:
		case ErrTooMany:
			return m, append(problems, Problem{number, text, err})
		default:
			problems = append(problems, Problem{number, text, err})
		}
	}
	return m, problems
}

// errNothing: the line says nothing, and that is no problem.
var errNothing = errors.New("empty or a comment")

func parseRule(text string) (rule, error) {
	var r rule
	if strings.HasPrefix(text, "#") {
		return r, errNothing
	}
	if len(text) > MaxPatternBytes {
		return r, ErrTooLong
	}
	text = trimSpaces(text)
	if text == "" {
		return r, errNothing
	}
	text, r.negated = strings.CutPrefix(text, "!")
	text, r.folderOnly = strings.CutSuffix(text, "/")
	r.anchored = strings.Contains(text, "/")
	text = strings.TrimPrefix(text, "/")
	if text == "" {
		return r, ErrEmpty
	}
	var err error
	r.segments, err = parseSegments(text)
	return r, err
}

// trimSpaces takes trailing spaces away, up to one that is quoted.
func trimSpaces(s string) string {
	end := 0
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			end = i + 1
		} else if s[i] != ' ' {
			end = i + 1
		}
	}
	return s[:end]
}

// Match tells whether p is ignored: a rule says so of it, or of a folder that it is in. isDir says whether p is a folder.
func (m *Matcher) Match(p shoal.Path, isDir bool) bool {
	if m == nil || len(m.rules) == 0 || p == "" {
		return false
	}
	return m.ignoresFolder(p.Parent()) || m.ignores(p, isDir)
}

// ignoresFolder is Match for a folder, which is asked for again and again.
func (m *Matcher) ignoresFolder(dir shoal.Path) bool {
	if dir == "" {
		return false
	}
	if v := m.last.Load(); v != nil && v.dir == dir {
		return v.ignored
	}
	v := &verdict{dir: dir}
	for i := range len(dir) + 1 {
		if i == len(dir) || dir[i] == '/' {
			if m.ignores(dir[:i], true) {
				v.ignored = true
				break
			}
		}
	}
	m.last.Store(v)
	return v.ignored
}

// ignores tells what the rules say of p by itself: the last one that matches.
func (m *Matcher) ignores(p shoal.Path, isDir bool) bool {
	for i := len(m.rules) - 1; i >= 0; i-- {
		if m.rules[i].matches(string(p), isDir) {
			return !m.rules[i].negated
		}
	}
	return false
}

func (r *rule) matches(p string, isDir bool) bool {
	if r.folderOnly && !isDir {
		return false
	}
	if !r.anchored {
		return r.segments[0].matches(p[strings.LastIndexByte(p, '/')+1:])
	}
	return matchPath(r.segments, p)
}
