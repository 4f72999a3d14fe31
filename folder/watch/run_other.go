//go:build !linux

package watch

import "context"

func (w *Watcher) run(ctx context.Context) error { return w.runPortable(ctx) }
