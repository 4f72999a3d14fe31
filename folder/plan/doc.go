// Package plan decides, without touching anything, in which order a disk is brought to what the index wants.
//
// Three trees meet here: what is on the disk (local), what this device last put on or read from it (base), and what the
// index wants (desired). By the time a plan is made local equals base wherever the disk was looked at, because every
// difference between the two was recorded first; so Plan compares base with desired, and whoever carries the plan
// out looks at the disk again before each operation and drops the operation when the disk is not the base.
//
// Laws, each held by TestRandomThreeTreeCases:
//   - it ends: carrying out a plan and planning again comes to an empty plan;
//   - it is equal: then the disk is the desired tree;
//   - it is lossless: content leaves a name only for another name, or into history.
//
// The package knows no disk, no clock and no index.
package plan
