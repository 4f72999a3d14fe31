// Shoal keeps your files the same on all your devices, without a company in the middle.
//
// This program is two things: the daemon (`shoal up`, `shoal run`), which is package node with flags in front, and the
// commands that ask a running daemon, which are package node/control with flags in front. It parses and prints; it decides
// nothing.
//
// Each command is one file, named after it, with a constructor newXCommand(app). Every command has help and an example;
// what it prints for programs (--json) is one JSON document on standard output. Errors become an exit code in one place
// (control.ExitCode) and a message with what to do next in another (explain).
package main
