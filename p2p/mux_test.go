package p2p

import (
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoalmesh/shoal/p2p/p2ptest"
)

// One stream fills a line of 200 Mbit/s with 50 ms each way from its beginning, though its reader's leave to go on takes 50 ms, too.
func TestAStreamFillsAFarLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 20
		line := p2ptest.Line{Rate: 25e6, Delay: 50 * time.Millisecond, Buffer: 4 << 20}
		a, b := line.Open()
		near, err := muxer().NewConn(a, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := muxer().NewConn(b, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()

		var wg sync.WaitGroup
		began := time.Now()
		wg.Go(func() {
			s, err := near.OpenStream(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			piece := make([]byte, 64<<10)
			for range size / len(piece) {
				if _, err := s.Write(piece); err != nil {
					t.Error(err)
					return
				}
			}
		})
		s, err := far.AcceptStream()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, s); n != size || err != nil {
			t.Errorf("%d bytes came: %v", n, err)
		}
		wg.Wait()
		took := time.Since(began)
		share := size / line.Rate / took.Seconds()
		t.Logf("%v, %.0f %% of the line", took, 100*share)
		if share < 0.9 {
			t.Errorf("a stream gets %.0f %% of the line", 100*share)
		}
	})
}
