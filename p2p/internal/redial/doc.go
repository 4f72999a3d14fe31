// Package redial decides when which device is dialed again: at once when something new is heard of it, otherwise after
// growing pauses. It is pure; package p2p carries its decisions out.
package redial
