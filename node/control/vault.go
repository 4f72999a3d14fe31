package control

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/shoalmesh/shoal"
)

// VaultBackend is what a running vault offers besides Daemon and Events. What holds for Backend holds for it.
type VaultBackend interface {
	// Vault tells how the vault stands.
	Vault(ctx context.Context) (Vault, error)
	// SetVault changes what the operator may change of a tenant. Errors: CodeUsage when it may not be.
	SetVault(ctx context.Context, change VaultChange) error
	// ScrubVault has everything that is kept read again, soon.
	ScrubVault(ctx context.Context) error
	// VaultHealth tells what an operator has to look at.
	VaultHealth(ctx context.Context) (VaultHealth, error)
	// AddTenant joins one more mesh with a ticket of an owner's device, and returns when it is in it.
	AddTenant(ctx context.Context, spec TenantSpec) (VaultTenant, error)
	// InviteTenant makes a ticket with which an owner of any mesh brings it here.
	InviteTenant(ctx context.Context, spec TenantInvite) (Invite, error)
	// RemoveTenant ends the keeping of a mesh.
	RemoveTenant(ctx context.Context, spec TenantRemoval) (TenantRemoved, error)
	// ExportTenant writes a tenant into a file, with its key, and seals it off here. CodeUsage when the file is there.
	ExportTenant(ctx context.Context, spec TenantExport) (TenantMoved, error)
	// ImportTenant goes on as a tenant that was exported elsewhere. CodeConflict when the file is damaged.
	ImportTenant(ctx context.Context, spec TenantImport) (TenantMoved, error)
}

// Vault is the answer of GET /v1/vault.
type Vault struct {
	Device    Self          `json:"device"`
	Addresses []string      `json:"addresses"` // of all tenants
	Entries   []string      `json:"dht"`       // ways into the hash table that this vault serves, for --bootstrap
	Used      int64         `json:"used_bytes"`
	Quota     int64         `json:"quota_bytes"` // of all tenants together; 0: none
	Tenants   []VaultTenant `json:"tenants"`
}

// VaultTenant is one mesh that a vault keeps.
type VaultTenant struct {
	Mesh      string         `json:"mesh"`  // empty: not known, it could not be opened
	State     string         `json:"state"` // ok, pulling, quota, disk; failed: it does not run; moved: it was exported
	Problem   string         `json:"problem"`
	Data      Path           `json:"data"`
	Device    string         `json:"device"` // the vault as the devices of this mesh know it
	Addresses []string       `json:"addresses"`
	Entries   []string       `json:"dht"`
	Used      int64          `json:"used_bytes"`
	Quota     int64          `json:"quota_bytes"`         // 0: none
	Retention int64          `json:"retention_s"`         // that counts now
	Minimum   int64          `json:"minimum_retention_s"` // fixed when the vault joined
	Shorter   int64          `json:"shorter_retention_s"` // that will count from ShorterAt on; 0: none
	ShorterAt time.Time      `json:"shorter_from,omitzero"`
	Hold      int64          `json:"hold_s"` // nothing is deleted for so long, because the clock jumped
	Folders   []VaultFolder  `json:"folders"`
	Devices   []VaultUploads `json:"devices"`
	Scrub     VaultScrub     `json:"scrub"`
}

// VaultFolder is what a vault keeps of one folder. It does not know the folder's name.
type VaultFolder struct {
	ID       string               `json:"id"`
	Records  int64                `json:"records"`
	Retained int64                `json:"retained_records"`
	Blocks   int64                `json:"blocks"`
	Bytes    int64                `json:"bytes"`
	Lacking  int64                `json:"lacking"`
	Frontier map[string]shoal.Seq `json:"frontier"`
}

// VaultUploads is what came from one device first.
type VaultUploads struct {
	ID     string `json:"id"`
	Blocks int64  `json:"blocks"`
	Bytes  int64  `json:"bytes"`
}

// VaultScrub says how the last scrub went.
type VaultScrub struct {
	Running bool      `json:"running"`
	Ended   time.Time `json:"ended,omitzero"` // of the last one that went through
	Damaged int       `json:"damaged"`
	Problem string    `json:"problem"`
}

// VaultChange is the body of POST /v1/vault. What is absent stays.
type VaultChange struct {
	Tenant     string `json:"tenant,omitempty"` // whose; empty: of the only one
	Quota      *int64 `json:"quota_bytes,omitempty"`
	Retention  *int64 `json:"retention_s,omitempty"`
	WholeQuota *int64 `json:"whole_quota_bytes,omitempty"` // of all tenants together
}

// Validate refuses what makes no sense for any vault.
func (c *VaultChange) Validate() error {
	if c.Quota != nil && *c.Quota < 0 {
		return Errorf(CodeUsage, "a quota of %d bytes", *c.Quota)
	}
	if c.WholeQuota != nil && *c.WholeQuota < 0 {
		return Errorf(CodeUsage, "a quota of %d bytes", *c.WholeQuota)
	}
	if c.Retention != nil && (*c.Retention <= 0 || *c.Retention > int64(200*365*24*time.Hour/time.Second)) {
		return Errorf(CodeUsage, "a retention of %d seconds", *c.Retention)
	}
	return nil
}

// vaultRoutes is what the server of a vault answers, besides the stream of events.
var vaultRoutes = []route{
	{"GET /v1/status", getStatus},
	{"POST /v1/stop", postStop},
	{"GET /v1/log", getLog},
	{"GET /v1/vault", func(s *Server, r *http.Request) (any, error) { return s.vault.Vault(r.Context()) }},
	{"POST /v1/vault", func(s *Server, r *http.Request) (any, error) {
		var body VaultChange
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return nil, s.vault.SetVault(r.Context(), body)
	}},
	{"POST /v1/vault/scrub", func(s *Server, r *http.Request) (any, error) { return nil, s.vault.ScrubVault(r.Context()) }},
	{"GET /v1/vault/health", func(s *Server, r *http.Request) (any, error) { return s.vault.VaultHealth(r.Context()) }},
	{"POST /v1/vault/tenants", func(s *Server, r *http.Request) (any, error) {
		var body TenantSpec
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return s.vault.AddTenant(r.Context(), body)
	}},
	{"POST /v1/vault/invite", func(s *Server, r *http.Request) (any, error) {
		var body tenantInviteRequest
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return s.vault.InviteTenant(r.Context(), TenantInvite{Quota: body.Quota, Expires: time.Duration(body.Expires)})
	}},
	{"POST /v1/vault/export", func(s *Server, r *http.Request) (any, error) {
		var body TenantExport
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return s.vault.ExportTenant(r.Context(), body)
	}},
	{"POST /v1/vault/import", func(s *Server, r *http.Request) (any, error) {
		var body TenantImport
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return s.vault.ImportTenant(r.Context(), body)
	}},
	{"POST /v1/vault/remove", func(s *Server, r *http.Request) (any, error) {
		var body TenantRemoval
		if err := decode(r, &body); err != nil {
			return nil, err
		}
		return s.vault.RemoveTenant(r.Context(), body)
	}},
}

// NewVaultServer makes the server of a vault, which has no folders on a disk. It starts nothing.
func NewVaultServer(d Daemon, e Events, v VaultBackend, log *slog.Logger) (*Server, error) {
	if d == nil || e == nil || v == nil {
		return nil, errors.New("vault backend is not complete")
	}
	s := newServer(log, vaultRoutes)
	s.backend.Daemon, s.backend.Events, s.vault = d, e, v
	return s, nil
}

// Vault asks how the vault stands.
func (c *Client) Vault(ctx context.Context) (Vault, error) {
	var out Vault
	return out, c.do(ctx, http.MethodGet, "/v1/vault", nil, &out)
}

// SetVault changes what the operator may change.
func (c *Client) SetVault(ctx context.Context, change VaultChange) error {
	return c.do(ctx, http.MethodPost, "/v1/vault", change, nil)
}

// ScrubVault has everything read again.
func (c *Client) ScrubVault(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/v1/vault/scrub", nil, nil)
}

// VaultHealth is the answer of GET /v1/vault/health.
type VaultHealth struct {
	Problems []string `json:"problems"` // one line each; none: all is well
}

// VaultHealth asks what an operator has to look at.
func (c *Client) VaultHealth(ctx context.Context) (VaultHealth, error) {
	var out VaultHealth
	return out, c.do(ctx, http.MethodGet, "/v1/vault/health", nil, &out)
}
