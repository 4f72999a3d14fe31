//go:build !windows

package main

import "context"

// runService runs a device under the system's service manager, which is content with a process that runs.
func (a *app) runService(ctx context.Context, c daemonConfig) error { return a.runDaemon(ctx, c) }
