package mesh

import "errors"

// Errors of identities and phrases.
var (
	// ErrDamagedIdentity: the key file is not what Save wrote.
	ErrDamagedIdentity = errors.New("key file is damaged")
	// ErrPhrase: the words are no recovery phrase; the message names the word.
	ErrPhrase = errors.New("not a recovery phrase")
)

// Errors of Add: what a statement from outside can be refused for. The set stays as it was.
var (
	// ErrForged: the signature is not the signer's.
	ErrForged = errors.New("forged statement")
	// ErrMalformed: not a statement of this format, or not in its one encoding.
	ErrMalformed = errors.New("malformed statement")
	// ErrTooLarge: above MaxStatementBytes.
	ErrTooLarge = errors.New("statement too large")
	// ErrOtherMesh: a statement of another mesh.
	ErrOtherMesh = errors.New("statement of another mesh")
	// ErrRefused: the statement can never count, whatever else arrives: what it names does not allow it. All devices refuse it alike.
	ErrRefused = errors.New("statement refused")
	// ErrFull: the roster, or this signer's share of it, has no room left.
	ErrFull = errors.New("roster is full")
)

// Errors of the operations that make statements, and of keys.
var (
	// ErrNotAllowed: the signer may not do that now.
	ErrNotAllowed = errors.New("not allowed")
	// ErrUnknown: no such device or folder.
	ErrUnknown = errors.New("unknown to the mesh")
	// ErrExists: the device is in the mesh already, or was revoked from it.
	ErrExists = errors.New("already known to the mesh")
	// ErrOtherRoot: the mesh has another root; the words are those of another mesh.
	ErrOtherRoot = errors.New("the root of another mesh")
	// ErrNoKey: no key of that folder can be opened (yet): no envelope for this device has arrived.
	ErrNoKey = errors.New("no key")
)
