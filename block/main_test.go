package block

import (
	"flag"
	"os"
	"testing"
)

// Properties of this package cut megabytes per check, so they run fewer checks than rapid's 100 unless asked for more with
// -rapid.checks.
func TestMain(m *testing.M) {
	checks := "40"
	if err := flag.Set("rapid.checks", checks); err != nil {
		panic(err)
	}
	flag.Parse() // what the command line says comes last
	os.Exit(m.Run())
}
