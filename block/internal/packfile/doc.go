// Package packfile is the format of packs (docs/formats/pack.md): the header, the records, and how records are found again in a pack of
// which parts may be damaged. It is what block/packstore and block/s3store have in common; it reads through an io.ReaderAt and writes
// nothing.
package packfile
