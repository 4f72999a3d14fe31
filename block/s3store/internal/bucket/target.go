package bucket

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// maxPrefix bounds the prefix of a target in bytes: S3 allows 1,024 for a whole key.
const maxPrefix = 256

// Target says where a store lies. The zero value is invalid.
type Target struct {
	Endpoint string // host, or host:port
	Secure   bool   // HTTPS
	Bucket   string
	Prefix   string // of all keys, without slashes at its ends; may be empty
	Region   string // empty: what the endpoint's name says, else us-east-1
	Virtual  bool   // the bucket's name is part of the host's name; else of the path
}

// ErrURL: a URL that does not name a place in a bucket.
var ErrURL = errors.New("not the URL of a bucket: want https://HOST/BUCKET[/PREFIX][?region=REGION&style=path|virtual]")

var (
	validBucket  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	validSegment = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`) // not "." or ".."
	validRegion  = regexp.MustCompile(`^[A-Za-z0-9-]{0,64}$`)
	validHost    = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$`)
)

// ParseURL reads https://HOST[:PORT]/BUCKET[/PREFIX][?region=REGION&style=path|virtual]; http is for servers on the same machine or network. The style is path
// but for the hosts of Amazon. Credentials are refused in a URL: others can see the arguments of a process. Error: ErrURL.
func ParseURL(s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Target{}, ErrURL // the reason would repeat what may be a secret
	}
	if u.User != nil {
		return Target{}, fmt.Errorf("credentials belong into the environment or ~/.aws/credentials: %w", ErrURL)
	}
	if u.Opaque != "" || u.Fragment != "" || u.RawPath != "" {
		return Target{}, ErrURL
	}
	t := Target{Endpoint: u.Host, Secure: u.Scheme == "https", Virtual: strings.HasSuffix(u.Hostname(), ".amazonaws.com")}
	if !t.Secure && u.Scheme != "http" {
		return Target{}, fmt.Errorf("scheme %q: %w", u.Scheme, ErrURL)
	}
	t.Bucket, t.Prefix, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	t.Prefix = strings.TrimSuffix(t.Prefix, "/")
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, ErrURL
	}
	for name, values := range query {
		if len(values) != 1 {
			return Target{}, fmt.Errorf("%s is there %d times: %w", name, len(values), ErrURL)
		}
		switch {
		case name == "region":
			t.Region = values[0]
		case name == "style" && values[0] == "path":
			t.Virtual = false
		case name == "style" && values[0] == "virtual":
			t.Virtual = true
		default:
			return Target{}, fmt.Errorf("unknown %s=%s: %w", name, values[0], ErrURL)
		}
	}
	return t, t.Validate()
}

// Validate checks each field. Error: ErrURL.
func (t Target) Validate() error {
	switch {
	case !validHost.MatchString(t.Endpoint):
		return fmt.Errorf("host %q: %w", t.Endpoint, ErrURL)
	case !validBucket.MatchString(t.Bucket) || strings.Contains(t.Bucket, ".."):
		return fmt.Errorf("bucket %q: %w", t.Bucket, ErrURL)
	case !validRegion.MatchString(t.Region):
		return fmt.Errorf("region %q: %w", t.Region, ErrURL)
	case t.Prefix != "" && !ValidKey(t.Prefix, maxPrefix):
		return fmt.Errorf("prefix %q: %w", t.Prefix, ErrURL)
	}
	return nil
}

// ValidKey tells whether key is one or more segments between slashes, of letters, digits and . _ -, none beginning with a dot, and has at most
// limit bytes.
func ValidKey(key string, limit int) bool {
	if len(key) > limit {
		return false
	}
	for segment := range strings.SplitSeq(key, "/") {
		if !validSegment.MatchString(segment) {
			return false
		}
	}
	return true
}

// String returns the URL that ParseURL reads as t.
func (t Target) String() string {
	u := url.URL{Scheme: "http", Host: t.Endpoint, Path: "/" + t.Bucket}
	if t.Secure {
		u.Scheme = "https"
	}
	if t.Prefix != "" {
		u.Path += "/" + t.Prefix
	}
	query := url.Values{}
	if t.Region != "" {
		query.Set("region", t.Region)
	}
	if t.Virtual != strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		query.Set("style", map[bool]string{true: "virtual", false: "path"}[t.Virtual])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// key returns the key in the bucket of what is called name under the target's prefix.
func (t Target) key(name string) string {
	if t.Prefix == "" {
		return name
	}
	return t.Prefix + "/" + name
}
