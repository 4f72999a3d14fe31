// Package invite is the pure part of pairing: tickets and spoken codes, the proof that both sides know an invite's
// secret, and the desk that decides which guest may use which invite.
//
// # Laws
//
//   - An invite admits one device; the same device may ask again for the answer that it missed.
//   - The first wrong guess burns a code. A guest that breaks off before its proof has learnt nothing and burns nothing.
//   - A proof binds both devices' keys, mesh, role, way and the guest's own words: none can be exchanged by somebody
//     in between.
//
// It sends nothing, and knows time and chance only through what it is given.
package invite
