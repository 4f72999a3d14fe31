// Package ignore reads .shoalignore: which paths of a folder are neither recorded nor applied.
//
// The syntax and its meaning are those of gitignore(5), for one file at the root of the folder:
//
//   - one pattern a line; empty lines and lines that begin with '#' say nothing; trailing spaces do not count unless
//     written "\ "
//   - "!" before a pattern takes back what earlier ones ignored; the last pattern that matches decides
//   - "/" at the end: folders only
//   - "/" at the beginning or in the middle: the pattern is about the path from the root; otherwise about the name, in
//     any folder
//   - "*" any bytes but '/', "?" one of them, "[a-z]", "[!a-z]", "[[:digit:]]" one of a set; "\" takes the next byte as it is
//   - "**/" at the beginning or "/**/" in the middle: any folders, or none; "/**" at the end: everything inside
//   - what lies in an ignored folder is ignored, and nothing takes that back
//
// A "?" is one byte, also of a longer character. Bytes are compared, case counts, whatever the disk thinks of it. Where git's program does
// otherwise than its manual, the manual counts: see TestWhereWeFollowTheManual.
//
// The package is pure: it reads no file and knows no folder. Matching a path takes time in proportion to the number of
// patterns and, for each, to the product of its length and the path's at worst: there is no pattern that hangs.
package ignore
