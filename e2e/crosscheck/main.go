// Program crosscheck tells whether the module compiles and passes vet on the other systems that it is for.
//
//	go run ./e2e/crosscheck
//
// It checks the types of everything from source, dependencies and tests included, and runs the passes of go vet on the module's packages. That takes
// seconds where building all dependencies for three systems from nothing takes minutes; what is left out is code generation and linking: make cross has these.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/appends"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/atomic"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/buildtag"
	"golang.org/x/tools/go/analysis/passes/composite"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/defers"
	"golang.org/x/tools/go/analysis/passes/directive"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/hostport"
	"golang.org/x/tools/go/analysis/passes/httpresponse"
	"golang.org/x/tools/go/analysis/passes/ifaceassert"
	"golang.org/x/tools/go/analysis/passes/loopclosure"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/printf"
	"golang.org/x/tools/go/analysis/passes/shift"
	"golang.org/x/tools/go/analysis/passes/sigchanyzer"
	"golang.org/x/tools/go/analysis/passes/slog"
	"golang.org/x/tools/go/analysis/passes/stdmethods"
	"golang.org/x/tools/go/analysis/passes/stringintconv"
	"golang.org/x/tools/go/analysis/passes/structtag"
	"golang.org/x/tools/go/analysis/passes/testinggoroutine"
	"golang.org/x/tools/go/analysis/passes/tests"
	"golang.org/x/tools/go/analysis/passes/timeformat"
	"golang.org/x/tools/go/analysis/passes/unmarshal"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/analysis/passes/unsafeptr"
	"golang.org/x/tools/go/analysis/passes/unusedresult"
	"golang.org/x/tools/go/analysis/passes/waitgroup"
	"golang.org/x/tools/go/packages"
)

// vet is what go vet runs, but for the passes about assembly and C, which the module has none of.
var vet = []*analysis.Analyzer{
	appends.Analyzer, assign.Analyzer, atomic.Analyzer, bools.Analyzer, buildtag.Analyzer, composite.Analyzer, copylock.Analyzer, defers.Analyzer,
	directive.Analyzer, errorsas.Analyzer, hostport.Analyzer, httpresponse.Analyzer, ifaceassert.Analyzer, loopclosure.Analyzer, lostcancel.Analyzer,
	nilfunc.Analyzer, printf.Analyzer, shift.Analyzer, sigchanyzer.Analyzer, slog.Analyzer, stdmethods.Analyzer, stringintconv.Analyzer,
	structtag.Analyzer, testinggoroutine.Analyzer, tests.Analyzer, timeformat.Analyzer, unmarshal.Analyzer, unreachable.Analyzer,
	unsafeptr.Analyzer, unusedresult.Analyzer, waitgroup.Analyzer,
}

// systems are the operating systems and processors beside the one that tests run on.
var systems = [][2]string{{"darwin", "arm64"}, {"windows", "amd64"}, {"android", "arm64"}}

func main() {
	ok := true
	for _, s := range systems {
		began := time.Now()
		problems, err := check(s[0], s[1])
		if err != nil {
			fmt.Fprintf(os.Stderr, "crosscheck: %s/%s: %v\n", s[0], s[1], err)
		}
		ok = ok && err == nil && problems == 0
		fmt.Printf("%s/%s: %d problems in %v\n", s[0], s[1], problems, time.Since(began).Round(time.Millisecond))
	}
	if !ok {
		os.Exit(1)
	}
}

// check prints and counts what is wrong on one system.
func check(goos, goarch string) (problems int, err error) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax | packages.NeedModule, Tests: true,
		Env: append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0"),
	}, "./...")
	if err != nil {
		return 0, err
	}
	if len(pkgs) == 0 {
		return 0, fmt.Errorf("there are no packages here")
	}
	if problems = packages.PrintErrors(pkgs); problems > 0 {
		return problems, nil
	}
	graph, err := checker.Analyze(vet, pkgs, nil)
	if err != nil {
		return 0, err
	}
	for _, act := range graph.Roots {
		problems += len(act.Diagnostics)
		if act.Err != nil {
			problems++
		}
	}
	if problems > 0 {
		err = graph.PrintText(os.Stderr, -1)
	}
	return problems, err
}
