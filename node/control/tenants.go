package control

import (
	"context"
	"net/http"
	"path/filepath"
	"time"
)

// TenantSpec is the body of POST /v1/vault/tenants.
type TenantSpec struct {
	Ticket string `json:"ticket"`      // a secret until used
	Quota  int64  `json:"quota_bytes"` // 0: none
}

// Validate refuses what is no ticket, and what is no quota.
func (s *TenantSpec) Validate() error {
	if s.Ticket == "" {
		return Errorf(CodeUsage, "no ticket")
	}
	if s.Quota < 0 {
		return Errorf(CodeUsage, "a quota of %d bytes", s.Quota)
	}
	return nil
}

// TenantInvite says for whom a vault has room.
type TenantInvite struct {
	Quota   int64         // bytes; 0: none
	Expires time.Duration // 1 s to MaxExpiry
}

// DefaultTenantExpiry is how long the ticket of a vault's operator is good.
const DefaultTenantExpiry = 24 * time.Hour

// tenantInviteRequest is the body of POST /v1/vault/invite.
type tenantInviteRequest struct {
	Quota   int64    `json:"quota_bytes"`
	Expires duration `json:"expires"`
}

func (r *tenantInviteRequest) Validate() error {
	if r.Expires == 0 {
		r.Expires = duration(DefaultTenantExpiry)
	}
	if d := time.Duration(r.Expires); d < time.Second || d > MaxExpiry {
		return Errorf(CodeUsage, "an invitation is good for 1s to %s", MaxExpiry)
	}
	if r.Quota < 0 {
		return Errorf(CodeUsage, "a quota of %d bytes", r.Quota)
	}
	return nil
}

// TenantRemoval is the body of POST /v1/vault/remove.
type TenantRemoval struct {
	Tenant     string `json:"tenant"`
	DeleteData bool   `json:"delete_data"`
}

// Validate asks for a name.
func (r *TenantRemoval) Validate() error {
	if r.Tenant == "" {
		return Errorf(CodeUsage, "no tenant")
	}
	return nil
}

// TenantRemoved says what became of it.
type TenantRemoved struct {
	Mesh string `json:"mesh"`
	Data Path   `json:"data"` // where what was kept is now; empty: deleted
}

// TenantExport is the body of POST /v1/vault/export.
type TenantExport struct {
	Tenant string `json:"tenant"`
	File   Path   `json:"file"` // absolute; must not exist
}

// Validate asks for a name and an absolute path.
func (e *TenantExport) Validate() error {
	if e.Tenant == "" {
		return Errorf(CodeUsage, "no tenant")
	}
	return absoluteFile(e.File)
}

// TenantImport is the body of POST /v1/vault/import.
type TenantImport struct {
	File Path `json:"file"` // absolute
}

// Validate asks for an absolute path.
func (i *TenantImport) Validate() error { return absoluteFile(i.File) }

func absoluteFile(p Path) error {
	if !filepath.IsAbs(string(p)) {
		return Errorf(CodeUsage, "the file %q must have an absolute path", string(p))
	}
	return nil
}

// TenantMoved says what was exported or imported.
type TenantMoved struct {
	Mesh   string `json:"mesh"`
	Device string `json:"device"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"` // of the archive
}

// ExportTenant has a vault write a tenant into a file.
func (c *Client) ExportTenant(ctx context.Context, spec TenantExport) (TenantMoved, error) {
	var out TenantMoved
	return out, c.do(ctx, http.MethodPost, "/v1/vault/export", spec, &out)
}

// ImportTenant has a vault go on as a tenant that was exported elsewhere.
func (c *Client) ImportTenant(ctx context.Context, spec TenantImport) (TenantMoved, error) {
	var out TenantMoved
	return out, c.do(ctx, http.MethodPost, "/v1/vault/import", spec, &out)
}

// AddTenant has a vault join one more mesh.
func (c *Client) AddTenant(ctx context.Context, spec TenantSpec) (VaultTenant, error) {
	var out VaultTenant
	return out, c.do(ctx, http.MethodPost, "/v1/vault/tenants", spec, &out)
}

// InviteTenant has a vault make a ticket for one more mesh.
func (c *Client) InviteTenant(ctx context.Context, spec TenantInvite) (Invite, error) {
	var out Invite
	return out, c.do(ctx, http.MethodPost, "/v1/vault/invite", tenantInviteRequest{Quota: spec.Quota, Expires: duration(spec.Expires)}, &out)
}

// RemoveTenant ends the keeping of a mesh.
func (c *Client) RemoveTenant(ctx context.Context, spec TenantRemoval) (TenantRemoved, error) {
	var out TenantRemoved
	return out, c.do(ctx, http.MethodPost, "/v1/vault/remove", spec, &out)
}

// AddVault hands this device's mesh to a vault, with a ticket of the vault's operator; the vault's device ID comes back.
func (c *Client) AddVault(ctx context.Context, ticket string) (VaultAdded, error) {
	var out VaultAdded
	return out, c.do(ctx, http.MethodPost, "/v1/vaults", vaultTicket{Ticket: ticket}, &out)
}

// VaultAdded is the answer of POST /v1/vaults.
type VaultAdded struct {
	Device string `json:"device"`
	Name   string `json:"name"`
}

// vaultTicket is the body of POST /v1/vaults.
type vaultTicket struct {
	Ticket string `json:"ticket"`
}

func (t *vaultTicket) Validate() error {
	if t.Ticket == "" {
		return Errorf(CodeUsage, "no ticket")
	}
	return nil
}

func postVault(s *Server, r *http.Request) (any, error) {
	var body vaultTicket
	if err := decode(r, &body); err != nil {
		return nil, err
	}
	return s.backend.Devices.AddVault(r.Context(), body.Ticket)
}
