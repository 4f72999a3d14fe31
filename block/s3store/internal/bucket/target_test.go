package bucket

import (
	"errors"
	"strings"
	"testing"
)

func TestURLsNameAPlaceInABucket(t *testing.T) {
	for s, want := range map[string]Target{
		"https://s3.example.org/my-bucket":                             {Endpoint: "s3.example.org", Secure: true, Bucket: "my-bucket"},
		"http://127.0.0.1:9000/bucket/a/b/":                            {Endpoint: "127.0.0.1:9000", Bucket: "bucket", Prefix: "a/b"},
		"http://[::1]:9000/bucket":                                     {Endpoint: "[::1]:9000", Bucket: "bucket"},
		"https://host/bucket?region=eu-west-1":                         {Endpoint: "host", Secure: true, Bucket: "bucket", Region: "eu-west-1"},
		"https://host/bucket?style=virtual":                            {Endpoint: "host", Secure: true, Bucket: "bucket", Virtual: true},
		"https://s3.eu-west-1.amazonaws.com/bucket":                    {Endpoint: "s3.eu-west-1.amazonaws.com", Secure: true, Bucket: "bucket", Virtual: true},
		"https://s3.eu-west-1.amazonaws.com/bucket?style=path&region=": {Endpoint: "s3.eu-west-1.amazonaws.com", Secure: true, Bucket: "bucket"},
	} {
		got, err := ParseURL(s)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
}

func TestOtherURLsAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "bucket", "s3://bucket/prefix", "https://", "https://host", "https://host/", "https:///bucket", "https://host//bucket", "file:///x/y",
		"https://host/UPPER", "https://host/ab", "https://host/a..b", "https://host/bucket/../x", "https://host/bucket/a//b", "https://host/bucket/.a",
		"https://host/bucket/a%2Fb", "https://host/bucket/ä", "https://host/bucket#x", "https://host/bucket?x=1", "https://host/bucket?region=a&region=b",
		"https://host/bucket?region=a/b", "https://host/bucket?style=odd", "https://ho st/bucket", "https://host:port/bucket",
		"https://host/bucket/" + strings.Repeat("a", 257), "https://host/bucket?%zz",
	} {
		if got, err := ParseURL(s); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	_, err := ParseURL("https://AKIA:very-secret@host/bucket")
	if !errors.Is(err, ErrURL) || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("credentials: %v", err)
	}
}

// FuzzParseURL: what is accepted is valid, and its text form means the same.
func FuzzParseURL(f *testing.F) {
	f.Add("https://host/bucket/prefix?region=eu-west-1&style=virtual")
	f.Add("http://[::1]:9000/bucket")
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseURL(s)
		if err != nil {
			return
		}
		if err := target.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := ParseURL(target.String())
		if err != nil || again != target {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}
