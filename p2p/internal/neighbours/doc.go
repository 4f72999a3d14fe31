// Package neighbours lets hosts of one user on one machine find each other without multicast, through files in a folder
// that only this user can write to.
package neighbours
