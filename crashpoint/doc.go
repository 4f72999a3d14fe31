// Package crashpoint names the moments at which a crash matters: before and after every step that makes something durable.
//
//	if err := f.Sync(); err != nil {
//		return err
//	}
//	crashpoint.Here("intents: synced")
//
// In an ordinary build Here is empty and costs nothing. A program built with the tag `crashpoints` kills itself there, as kill -9 does, when
// the environment asks for it:
//
//	SHOAL_CRASH_AT=NAME      die when the point NAME is reached
//	SHOAL_CRASH_AT=NAME#K    die when it is reached for the K-th time
//	SHOAL_CRASH_LIST=FILE    append NAME and a line feed to FILE each time that any point is reached
//
// Names are literals, "subject: what was just done", and each stands in one place of the source: tests read the list of all points from there
// and fail when they can't reach one. See docs/reliability.md.
package crashpoint
