// Package faulty is a device of a test mesh that keeps to the handshake and to pairing, and to nothing else.
//
// A Peer joins with a ticket over the real network package, opens real streams of the real protocols, and sends on them what no honest device
// sends. What it sends it encodes by hand, from the pages in docs/formats: the product's own encoders refuse most of it. Misbehaviours is the
// list of what it tries, with what the log of its victim must say of it. The tests in package e2e run the list against the built program.
//
// It is made for meshes on loopback that exist for one test, is imported by tests only, and is no part of the program.
package faulty
