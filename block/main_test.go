package block

import (
	"flag"
	"os"
	"testing"
)

// Properties of this package cut megabytes per check, so they run fewer checks than rapid's 100 unless asked for more with
// -rapid.checks. Failures print their seed; a file for each would end up in testdata.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "40", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse() // what the command line says comes last
	os.Exit(m.Run())
}
