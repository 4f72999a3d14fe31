// Package welcome is what a new device or vault is given when it is let into a mesh: the roster, and where the others are. It travels in
// one of two ways: as the last message of pairing, when the new one has asked; or handed over by an owner's device to a vault that waits
// for a mesh (Offer, Give, Take), since a vault's operator and an owner of a mesh need not be the same person. The page is
// docs/formats/welcome.md.
package welcome
