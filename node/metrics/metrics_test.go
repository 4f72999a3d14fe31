package metrics

import (
	"math"
	"strings"
	"testing"
)

func TestTheTextIsThatOfThePrometheusFormat(t *testing.T) {
	var b strings.Builder
	for _, err := range []error{
		Write(&b, "a_total", Counter, "how many \\ or\nso", Sample{Value: 1 << 40}),
		Write(&b, "b", Gauge, "two", Sample{Labels: []string{"tenant", "x\"y\\z\n", "way", "in"}, Value: 0.5}, Sample{Labels: []string{"tenant", ""}, Value: math.Inf(1)}),
		Write(&b, "c", Gauge, "nothing is known of it"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := `# HELP a_total how many \\ or\nso
# TYPE a_total counter
a_total 1099511627776
# HELP b two
# TYPE b gauge
b{tenant="x\"y\\z\n",way="in"} 0.5
b{tenant=""} +Inf
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}
