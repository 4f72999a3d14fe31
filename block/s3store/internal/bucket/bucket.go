package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Config says which bucket, and how patiently it is asked. Zero values stand for the defaults.
type Config struct {
	Target  Target
	Tries   int           // attempts of each request; default 8
	Pause   time.Duration // before the second attempt; doubles, up to 5 s; default 50 ms
	Timeout time.Duration // of one attempt, beside a second for each 128 KiB that it moves; default 30 s
}

// Bucket is a prefix of a bucket. Names of objects are relative to it. Safe for concurrent use.
type Bucket struct {
	target      Target
	core        minio.Core
	transport   *http.Transport
	tries       int
	firstPause  time.Duration
	attemptTime time.Duration
}

// Open returns the bucket; it asks nobody. Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or else from ~/.aws/credentials
// (AWS_SHARED_CREDENTIALS_FILE, AWS_PROFILE). Errors: ErrURL, ErrCredentials.
func Open(c Config) (*Bucket, error) {
	if err := c.Target.Validate(); err != nil {
		return nil, err
	}
	found := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}})
	if v, err := found.GetWithContext(&credentials.CredContext{}); err != nil || v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return nil, ErrCredentials
	}
	transport, err := minio.DefaultTransport(c.Target.Secure)
	if err != nil {
		return nil, fmt.Errorf("make transport: %w", err)
	}
	transport.MaxResponseHeaderBytes = 1 << 20
	lookup := minio.BucketLookupPath
	if c.Target.Virtual {
		lookup = minio.BucketLookupDNS
	}
	region := c.Target.Region
	if region == "" && !strings.HasSuffix(c.Target.Endpoint, ".amazonaws.com") {
		region = "us-east-1" // what servers of others than Amazon call themselves; saves asking
	}
	core, err := minio.NewCore(c.Target.Endpoint, &minio.Options{
		Creds: found, Secure: c.Target.Secure, Region: region, BucketLookup: lookup,
		Transport:  limited{transport},
		MaxRetries: 1, // whether a lost answer was a success is decided here, not there
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	b := &Bucket{target: c.Target, core: *core, transport: transport, tries: c.Tries, firstPause: c.Pause, attemptTime: c.Timeout}
	if b.tries == 0 {
		b.tries = defaultTries
	}
	if b.firstPause == 0 {
		b.firstPause = firstPause
	}
	if b.attemptTime == 0 {
		b.attemptTime = attemptTime
	}
	return b, nil
}

// Close lets idle connections go.
func (b *Bucket) Close() { b.transport.CloseIdleConnections() }

// Get returns an object of at most limit bytes and its etag. Errors: ErrNotFound, ErrSize, those that a person must act on.
func (b *Bucket) Get(ctx context.Context, name string, limit int64) (data []byte, etag string, err error) {
	err = b.try(ctx, "get", name, limit, limit, func(ctx context.Context, _ bool) error {
		body, info, _, err := b.core.GetObject(ctx, b.target.Bucket, b.target.key(name), minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		if info.Size > limit {
			return fmt.Errorf("%d bytes, at most %d are allowed: %w", info.Size, limit, ErrSize)
		}
		data, err = io.ReadAll(body)
		if etag = info.ETag; err == nil && (info.Size >= 0 && int64(len(data)) != info.Size || etag == "") {
			return fmt.Errorf("%d bytes of %d, etag %q: %w", len(data), info.Size, clip(etag), ErrAnswer)
		}
		return err
	})
	return data, etag, err
}

// GetRange returns n bytes of an object from off on. Errors: ErrNotFound; ErrAnswer: the object ends before; those that a person must act on.
func (b *Bucket) GetRange(ctx context.Context, name string, off, n int64) (data []byte, err error) {
	err = b.try(ctx, "get", name, n, n, func(ctx context.Context, _ bool) error {
		var o minio.GetObjectOptions
		if err := o.SetRange(off, off+n-1); err != nil {
			return err
		}
		body, info, header, err := b.core.GetObject(ctx, b.target.Bucket, b.target.key(name), o)
		if err != nil {
			return err
		}
		defer body.Close()
		// A server that does not know ranges would send the object from its beginning.
		if got, want := header.Get("Content-Range"), fmt.Sprintf("bytes %d-%d/", off, off+n-1); !strings.HasPrefix(got, want) || info.Size > n {
			return fmt.Errorf("asked for %s, got %s of %d: %w", want, clip(got), info.Size, ErrAnswer)
		}
		data = make([]byte, n)
		if _, err := io.ReadFull(body, data); err != nil {
			return fmt.Errorf("read %d bytes at %d: %w", n, off, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// Upload writes an object of any size, whatever was there before. body is read from 0 to size, more than once if need be.
func (b *Bucket) Upload(ctx context.Context, name string, body io.ReaderAt, size int64) error {
	return b.try(ctx, "put", name, 2*size, maxRefusal, func(ctx context.Context, _ bool) error {
		_, err := b.put(ctx, name, io.NewSectionReader(body, 0, size), size, minio.PutObjectOptions{})
		return err
	})
}

// Condition is what must hold for a write.
type Condition string

// Conditions; any other value is an etag: the object is there and has it.
const (
	Always Condition = ""
	Absent Condition = "*" // there is no such object
)

// Put writes a small object if the condition holds, and returns its etag. If an attempt's answer was lost and the object then holds these very bytes, that
// counts as done; who must not take another's equal write for its own puts a random number in. Errors: ErrChanged, those that a person must act on.
func (b *Bucket) Put(ctx context.Context, name string, data []byte, c Condition) (etag string, err error) {
	var o minio.PutObjectOptions
	switch c {
	case Always:
	case Absent:
		o.SetMatchETagExcept("*")
	default:
		o.SetMatchETag(string(c))
	}
	size := int64(len(data))
	err = b.try(ctx, "put", name, size, maxRefusal, func(ctx context.Context, unsure bool) error {
		etag, err = b.put(ctx, name, bytes.NewReader(data), size, o)
		if err == nil || c == Always {
			return err
		}
		missing := sort(ctx, err).err
		if c != Absent && errors.Is(missing, ErrNotFound) {
			return minio.ErrorResponse{StatusCode: http.StatusPreconditionFailed} // some servers say so of an etag of nothing
		}
		if unsure && errors.Is(missing, ErrChanged) {
			return b.wasDone(ctx, name, data, &etag, err)
		}
		return err
	})
	return etag, err
}

// wasDone looks whether an object holds data already, and returns failed if not.
func (b *Bucket) wasDone(ctx context.Context, name string, data []byte, etag *string, failed error) error {
	body, info, _, err := b.core.GetObject(withLimit(ctx, int64(len(data))), b.target.Bucket, b.target.key(name), minio.GetObjectOptions{})
	if err != nil {
		if errors.Is(sort(ctx, err).err, ErrNotFound) {
			return failed
		}
		return err
	}
	defer body.Close()
	there, err := io.ReadAll(body)
	if errors.Is(err, ErrSize) || err == nil && !bytes.Equal(there, data) {
		return failed
	}
	*etag = info.ETag
	return err
}

func (b *Bucket) put(ctx context.Context, name string, body io.Reader, size int64, o minio.PutObjectOptions) (etag string, err error) {
	o.DisableMultipart = true // one request is there as a whole or not at all
	o.SendContentMd5 = true   // the server refuses what was damaged on the way
	info, err := b.core.Client.PutObject(ctx, b.target.Bucket, b.target.key(name), body, size, o)
	if err == nil && info.ETag == "" {
		return "", fmt.Errorf("written without an etag: %w", ErrAnswer)
	}
	return info.ETag, err
}

// Delete removes an object; what is not there is no error.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	return b.try(ctx, "delete", name, 0, maxRefusal, func(ctx context.Context, _ bool) error {
		err := b.core.RemoveObject(ctx, b.target.Bucket, b.target.key(name), minio.RemoveObjectOptions{})
		if err != nil && errors.Is(sort(ctx, err).err, ErrNotFound) {
			return nil
		}
		return err
	})
}

// Item is one object of a listing.
type Item struct {
	Name     string
	Size     int64
	Modified time.Time // by the server's clock
}

// MaxList is the most items that one List returns.
const MaxList = 1000

// List returns up to MaxList objects whose names begin with prefix and come behind after, in the order of their names' bytes. Fewer than MaxList
// means that there are no more. Errors: ErrAnswer; those that a person must act on.
func (b *Bucket) List(ctx context.Context, prefix, after string) (items []Item, err error) {
	err = b.try(ctx, "list", prefix, 0, maxListing, func(ctx context.Context, _ bool) error {
		items = nil
		o := minio.ListObjectsOptions{Prefix: b.target.key(prefix), Recursive: true, MaxKeys: MaxList}
		if after != "" {
			o.StartAfter = b.target.key(after)
		}
		last := after
		for info := range b.core.ListObjectsIter(ctx, b.target.Bucket, o) {
			if info.Err != nil {
				return info.Err
			}
			name, ok := strings.CutPrefix(info.Key, b.target.key(""))
			if !ok || !strings.HasPrefix(name, prefix) || name <= last || info.Size < 0 {
				return fmt.Errorf("%s is listed behind %s: %w", clip(name), clip(last), ErrAnswer)
			}
			last = name
			items = append(items, Item{Name: name, Size: info.Size, Modified: info.LastModified})
			if len(items) == MaxList {
				break
			}
		}
		return nil
	})
	return items, err
}
