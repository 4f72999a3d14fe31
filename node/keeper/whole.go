package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/node/durable"
)

// wholeFile is in the data folder of the vault.
const wholeFile = "whole.json"

// wholeQuota bounds what all tenants keep together. Safe for concurrent use.
type wholeQuota struct {
	path  string
	used  func() int64
	limit atomic.Int64 // bytes; 0: none
}

// wholeDoc is the file.
type wholeDoc struct {
	Quota int64 `json:"quota"` // bytes; 0: none
}

func openWholeQuota(path string, used func() int64) (*wholeQuota, error) {
	q := &wholeQuota{path: path, used: used}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	}
	var doc wholeDoc
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err == nil && doc.Quota < 0 {
		err = fmt.Errorf("quota of %d bytes: %w", doc.Quota, shoal.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	q.limit.Store(doc.Quota)
	return q, nil
}

func (q *wholeQuota) set(bytes int64) error {
	raw, err := json.Marshal(wholeDoc{Quota: bytes})
	if err != nil {
		return err
	}
	if err := durable.Replace(q.path, append(raw, '\n')); err != nil {
		return err
	}
	q.limit.Store(bytes)
	return nil
}

// room tells whether so many bytes more may be kept.
func (q *wholeQuota) room(bytes int) bool {
	limit := q.limit.Load()
	return limit == 0 || q.used()+int64(bytes) <= limit
}
