package s3store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shoalmesh/shoal/block/s3store/internal/bucket"
)

// Limits of Objects, in bytes.
const (
	MaxObject    = 16 << 20
	MaxObjectKey = 512
)

// ErrKey: the key of an object is not segments of letters, digits and . _ - between slashes, none beginning with a dot, or is longer than MaxObjectKey.
var ErrKey = errors.New("invalid key of an object")

// Objects are small objects beside the packs that are written again and again: for state that several processes share. Keys of one must not be
// folders of another ("a" and "a/b"): some servers keep objects in directories. Safe for concurrent use. They live as long as their Store.
type Objects struct {
	bucket *bucket.Bucket
	under  string // first part of all names, with its slash
	now    func() time.Time
	random func([]byte) error
}

// Etag names one content of an object, as its server does.
type Etag string

// Absent is the condition that there is no object.
const Absent Etag = "*"

// Objects returns the shared state of the store.
func (s *Store) Objects() *Objects { return s.objects("state/") }

func (s *Store) objects(under string) *Objects {
	return &Objects{bucket: s.bucket, under: under, now: s.config.Now, random: s.random}
}

func (o *Objects) name(key string) (string, error) {
	if !bucket.ValidKey(key, MaxObjectKey) {
		return "", fmt.Errorf("object %.80q: %w", key, ErrKey)
	}
	return o.under + key, nil
}

// Get returns an object and its etag. The caller owns the slice. Errors: ErrNotFound, ErrSize, ErrKey, those of the bucket.
func (o *Objects) Get(ctx context.Context, key string) ([]byte, Etag, error) {
	name, err := o.name(key)
	if err != nil {
		return nil, "", err
	}
	data, etag, err := o.bucket.Get(ctx, name, MaxObject)
	return data, Etag(etag), err
}

// PutIf writes an object of 1 to MaxObject bytes if it is as the condition says: Absent, or still the content that the etag names. Then it is durable. It returns the new etag.
// Errors: ErrChanged: the condition does not hold; ErrSize, ErrKey, those of the bucket; after these the object may have been written.
//
// If an answer of the server is lost and the object holds data when it is asked again, that counts as done. Who must tell his own write from another's equal one puts a
// random number in.
func (o *Objects) PutIf(ctx context.Context, key string, data []byte, condition Etag) (Etag, error) {
	name, err := o.name(key)
	if err != nil {
		return "", err
	}
	if len(data) == 0 || len(data) > MaxObject {
		return "", fmt.Errorf("put object %s of %d bytes: %w", key, len(data), ErrSize)
	}
	if condition == "" {
		return "", fmt.Errorf("put object %s without a condition: %w", key, ErrChanged)
	}
	etag, err := o.bucket.Put(ctx, name, data, bucket.Condition(condition))
	return Etag(etag), err
}

// Delete removes an object, whatever it holds; what is not there is no error. Errors: ErrKey, those of the bucket.
func (o *Objects) Delete(ctx context.Context, key string) error {
	name, err := o.name(key)
	if err != nil {
		return err
	}
	return o.bucket.Delete(ctx, name)
}

// Object is one line of a listing.
type Object struct {
	Key  string
	Size int64 // bytes
}

// MaxList is the most objects that one List returns.
const MaxList = bucket.MaxList

// List returns up to MaxList objects whose keys begin with prefix and come behind after, by the order of bytes; fewer mean that there are no more. Errors: ErrAnswer: the
// server's listing is out of order; those of the bucket.
func (o *Objects) List(ctx context.Context, prefix, after string) ([]Object, error) {
	if after != "" {
		after = o.under + after
	}
	items, err := o.bucket.List(ctx, o.under+prefix, after)
	if err != nil {
		return nil, err
	}
	list := make([]Object, len(items))
	for i, item := range items {
		list[i] = Object{Key: strings.TrimPrefix(item.Name, o.under), Size: item.Size}
	}
	return list, nil
}
