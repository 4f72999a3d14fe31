package control

import (
	"context"

	"github.com/shoalmesh/shoal"
)

// Devices is the mesh as this device sees it.
type Devices interface {
	// Devices lists every device of the mesh by name, this one and revoked ones too.
	Devices(ctx context.Context) ([]Device, error)
	// RenameDevice gives a device another name. CodeRefused when this device may not.
	RenameDevice(ctx context.Context, id shoal.DeviceID, name string) error
	// RevokeDevice puts a device out of the mesh for ever. CodeRefused when this device may not.
	RevokeDevice(ctx context.Context, id shoal.DeviceID) error
	// AddVault hands the mesh to a vault that waits for one, with a ticket of its operator. CodeRefused when this device may not, or the
	// vault does not take it.
	AddVault(ctx context.Context, ticket string) (VaultAdded, error)
}

// Device is one device of the mesh, as listed.
type Device struct {
	DeviceStatus
	Self    bool `json:"self"` // this device
	Revoked bool `json:"revoked"`
}

func (d Device) withEmpties() Device {
	d.Folders = needsOrEmpty(d.Folders)
	return d
}

// renameRequest is the body of rename.
type renameRequest struct {
	Name string `json:"name"`
}

func (r *renameRequest) Validate() error { return validateName("device", r.Name) }
