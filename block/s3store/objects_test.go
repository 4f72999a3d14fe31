package s3store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestObjectsChangeUnderTheirConditionOnly(t *testing.T) {
	r := newRig(t)
	a, b := r.open(r.config()).Objects(), r.open(r.config()).Objects()
	ctx := t.Context()
	first, err := a.PutIf(ctx, "tenants/x", []byte("one"), Absent)
	must(t, err)
	if _, err := b.PutIf(ctx, "tenants/x", []byte("two"), Absent); !errors.Is(err, ErrChanged) {
		t.Errorf("absent: %v", err)
	}
	data, etag, err := b.Get(ctx, "tenants/x")
	if err != nil || string(data) != "one" || etag != first {
		t.Errorf("get %q, %s: %v", data, etag, err)
	}
	_, err = b.PutIf(ctx, "tenants/x", []byte("two"), etag)
	must(t, err)
	if _, err := a.PutIf(ctx, "tenants/x", []byte("three"), first); !errors.Is(err, ErrChanged) {
		t.Errorf("old etag: %v", err)
	}
	must(t, a.Delete(ctx, "tenants/x"))
	if _, _, err := b.Get(ctx, "tenants/x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func TestObjectsAreListedBehindAKey(t *testing.T) {
	r := newRig(t)
	s := r.open(r.config())
	puts(t, s, 0, 2)
	o := s.Objects()
	for i := range 4 {
		_, err := o.PutIf(t.Context(), fmt.Sprintf("journals/%d", i), []byte("x"), Absent)
		must(t, err)
	}
	_, err := o.PutIf(t.Context(), "other", []byte("xy"), Absent)
	must(t, err)
	list, err := o.List(t.Context(), "journals/", "journals/1")
	if err != nil || len(list) != 2 || list[0] != (Object{"journals/2", 1}) {
		t.Errorf("%v, %v", list, err)
	}
	if all, err := o.List(t.Context(), "", ""); err != nil || len(all) != 5 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestObjectsHaveLimits(t *testing.T) {
	r := newRig(t)
	o := r.open(r.config()).Objects()
	for _, key := range []string{"", "/a", "a/", "a//b", "../anchor", "a/../b", ".a", "a b", "ä", strings.Repeat("a", MaxObjectKey+1)} {
		if _, err := o.PutIf(t.Context(), key, []byte("x"), Absent); !errors.Is(err, ErrKey) {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for _, size := range []int{0, MaxObject + 1} {
		if _, err := o.PutIf(t.Context(), "a", make([]byte, size), Absent); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := o.PutIf(t.Context(), "a", []byte("x"), ""); err == nil {
		t.Error("written without a condition")
	}
}

func TestAMalformedLeaseHasEnded(t *testing.T) {
	r := newRig(t)
	o := r.open(r.config()).Objects()
	for _, content := range []string{"garbage", `{}`, `{"holder":"x","until":"9999-01-01T00:00:00Z"}`} {
		must(t, o.Delete(t.Context(), "l"))
		_, err := o.PutIf(t.Context(), "l", []byte(content), Absent)
		must(t, err)
		l, err := o.Acquire(t.Context(), "l", time.Minute)
		must(t, err)
		if _, err := o.Acquire(t.Context(), "l", time.Minute); !errors.Is(err, ErrHeld) {
			t.Errorf("%s: %v", content, err)
		}
		must(t, l.Release(t.Context()))
	}
}
