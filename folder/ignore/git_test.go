package ignore

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoalmesh/shoal"
)

// TestGitAgrees asks git itself about random patterns on a small tree.
func TestGitAgrees(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here")
	}
	if testing.Short() {
		t.Skip("runs git hundreds of times")
	}
	repo := t.TempDir()
	git := func(stdin string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = repo
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
		cmd.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		// check-ignore says 1 if nothing matched.
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1) {
			t.Fatalf("git %v: %v: %s", args, err, stderr.String())
		}
		return string(out)
	}
	git("", "init", "-q")
	paths := makeTree(t, repo)
	asked := strings.Join(paths, "\x00") + "\x00"
	rapid.Check(t, func(rt *rapid.T) {
		file := drawFile(rt)
		if oddity(file) {
			rt.Skip("see TestWhereWeFollowTheManual")
		}
		if err := os.WriteFile(filepath.Join(repo, ".gitignore"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
		// Four fields a path: file, line, pattern, path.
		fields := strings.Split(git(asked, "check-ignore", "--no-index", "--stdin", "-z", "-v", "-n"), "\x00")
		m, _ := Parse([]byte(file))
		for i := 0; i+3 < len(fields); i += 4 {
			pattern, p := fields[i+2], fields[i+3]
			want := pattern != "" && !strings.HasPrefix(pattern, "!")
			if got := m.Match(shoal.Path(p), isFolder(p)); got != want {
				rt.Errorf("%q ignored: %v, git says %v by %q, of\n%s", p, got, want, pattern, file)
			}
		}
	})
}

// oddity tells of patterns in which git does otherwise than its manual: "**" in the middle of a name, in a pattern with
// slashes.
func oddity(file string) bool {
	for line := range strings.Lines(file) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "/")
		if !strings.Contains(line, "/") {
			continue
		}
		for name := range strings.SplitSeq(line, "/") {
			if strings.Contains(name, "**") && strings.Trim(name, "*") != "" {
				return true
			}
		}
	}
	return false
}

// isFolder says which paths of the tree are folders.
func isFolder(p string) bool { return strings.Count(p, "/") < 2 && !strings.HasSuffix(p, "ba") }

// makeTree makes every path of up to three names; the third and every "ba" is a file.
func makeTree(t *testing.T, root string) (paths []string) {
	t.Helper()
	var grow func(dir string, depth int)
	grow = func(dir string, depth int) {
		for _, name := range pathNames {
			p := strings.TrimPrefix(dir+"/"+name, "/")
			paths = append(paths, p)
			at := filepath.Join(root, p)
			var err error
			if isFolder(p) {
				err = os.Mkdir(at, 0o755)
			} else {
				err = os.WriteFile(at, nil, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			if isFolder(p) && depth < 3 {
				grow(p, depth+1)
			}
		}
	}
	grow("", 1)
	return paths
}
