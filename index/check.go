package index

import "context"

func (f *Folder) check(ctx context.Context) error { return ctx.Err() }
