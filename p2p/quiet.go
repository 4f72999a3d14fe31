package p2p

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
)

// libraryLog is where the libraries' log goes: that of the host made last. The libraries know only one per process.
var libraryLog atomic.Pointer[slog.Logger]

var quietOnce sync.Once

// quietLibraries keeps libp2p and quic-go from writing to standard error by themselves.
func quietLibraries(log *slog.Logger) {
	libraryLog.Store(log)
	quietOnce.Do(func() {
		gologshim.SetDefaultHandler(libraryHandler{})
		// The hash table has another log, which knows no handler of ours.
		golog.SetupLogging(golog.Config{Level: golog.LevelFatal})
		// quic-go complains there about small socket buffers, about which the user can rarely do anything.
		_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	})
}

// libraryHandler passes warnings of libraries on as debug messages: what they call an error (a peer that speaks
// nonsense) is our everyday.
type libraryHandler struct{ attrs []slog.Attr }

var _ slog.Handler = libraryHandler{}

// Enabled takes warnings and errors while somebody looks at debug messages.
func (libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && libraryLog.Load().Enabled(ctx, slog.LevelDebug)
}

// Handle passes one message on.
func (h libraryHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, slog.LevelDebug, "libp2p: "+r.Message, 0)
	out.AddAttrs(h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(a)
		return true
	})
	return libraryLog.Load().Handler().Handle(ctx, out)
}

// WithAttrs keeps attributes.
func (h libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryHandler{attrs: append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup ignores groups: the libraries use none.
func (h libraryHandler) WithGroup(string) slog.Handler { return h }
