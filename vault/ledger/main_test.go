package ledger

import (
	"os"
	"testing"

	"github.com/shoalmesh/shoal/block/s3store/s3test"
)

func TestMain(m *testing.M) { os.Exit(s3test.Main(m)) }
