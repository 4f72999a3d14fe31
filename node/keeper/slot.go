package keeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/shoalmesh/shoal"
	"github.com/shoalmesh/shoal/block/s3store"
	"github.com/shoalmesh/shoal/node/control"
	"github.com/shoalmesh/shoal/node/durable"
)

// A slot is an identity of a vault that lives in the bucket, so that a process that lost its data folder, or another one in its place, can be that vault again. One process
// at a time holds it: it writes the slot's hold again and again. Who wants a slot that it does not hold waits until the hold has not changed for
// holdTime by its own clock, or was given back; so no two clocks are compared. The layout is in docs/formats/vault-ledger.md.
const (
	slotFormat = 1
	holdTime   = time.Minute
	holdRenew  = holdTime / 3
	holdLook   = 2 * time.Second // how often a process that waits for a slot looks

	maxSlotBytes = 64 << 10
)

// identity is a slot as it lies in the bucket.
type identity struct {
	Format int    `json:"format"`
	Device string `json:"device"`
	Mesh   string `json:"mesh"`
	Name   string `json:"name"`
	Key    string `json:"key"`            // the content of device.key
	Seed   []byte `json:"seed,omitempty"` // that of dht.seed
}

// hold says who has a slot.
type hold struct {
	Holder string `json:"holder"` // random for each process
	Beat   uint64 `json:"beat"`   // grows with each renewal
	Free   bool   `json:"free"`   // it was given back
}

// decodeSlot reads a slot. Error: it makes no sense.
func decodeSlot(raw []byte) (identity, error) {
	var s identity
	if len(raw) > maxSlotBytes {
		return s, fmt.Errorf("slot of %d bytes: %w", len(raw), shoal.ErrInvalid)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, fmt.Errorf("read slot: %w", err)
	}
	if s.Format != slotFormat {
		return s, fmt.Errorf("slot of format %d: %w", s.Format, shoal.ErrInvalid)
	}
	if _, err := shoal.ParseDeviceID(s.Device); err != nil {
		return s, err
	}
	if _, err := parseMesh(s.Mesh); err != nil {
		return s, err
	}
	if s.Key == "" || len(s.Seed) != 0 && len(s.Seed) != 32 {
		return s, fmt.Errorf("slot without a key: %w", shoal.ErrInvalid)
	}
	return s, nil
}

func parseMesh(text string) (m shoal.MeshID, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(m) {
		return m, fmt.Errorf("mesh ID %q: %w", text, shoal.ErrInvalid)
	}
	return shoal.MeshID(raw), nil
}

// holder is this process' hold on a slot. It is used by one goroutine at a time.
type holder struct {
	objects *s3store.Objects
	key     string
	etag    s3store.Etag
	now     hold
}

func slotKey(device string) string { return "slots/" + device }
func holdKey(device string) string { return "holds/" + device }

// renew says that this process is still there. Error: control.CodeFailed: another has taken the slot.
func (h *holder) renew(ctx context.Context) error {
	next := h.now
	next.Beat++
	return h.write(ctx, next)
}

func (h *holder) write(ctx context.Context, next hold) error {
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	etag, err := h.objects.PutIf(ctx, h.key, raw, h.etag)
	if errors.Is(err, s3store.ErrChanged) {
		return control.Errorf(control.CodeFailed, "another process has taken over this vault's identity from the bucket; this one must not go on")
	}
	if err != nil {
		return err
	}
	h.etag, h.now = etag, next
	return nil
}

// release gives the slot back.
func (h *holder) release(ctx context.Context) error {
	next := h.now
	next.Beat, next.Free = next.Beat+1, true
	return h.write(ctx, next)
}

// keep renews the hold until ctx ends. While the bucket does not answer, nobody else can take the slot there, so it goes on.
func (h *holder) keep(ctx context.Context) error {
	ticker := time.NewTicker(holdRenew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := h.renew(ctx)
		if _, lost := errors.AsType[*control.Error](err); lost {
			return err
		}
	}
}

// startHolding renews the hold from now on; the vault ends if another takes it. endHolding ends that.
func (k *keeper) startHolding(ctx context.Context) {
	ctx, k.unbeat = context.WithCancel(ctx)
	k.beat.Go(func() {
		if k.lost = k.hold.keep(ctx); k.lost != nil {
			k.stop()
		}
	})
}

// endHolding returns why the hold was lost; nil: it was not.
func (k *keeper) endHolding() error {
	if k.unbeat == nil {
		return nil
	}
	k.unbeat()
	k.beat.Wait()
	return k.lost
}

// watched is a slot that somebody else may hold.
type watched struct {
	etag  s3store.Etag
	since time.Time // when this state was seen first
	beat  hold
}

// claim tries to take a slot. seen remembers what was seen of it. mine is the holder that an earlier life of this data folder was; empty: there was none. It returns nil without an error while
// somebody else may hold the slot.
func claim(ctx context.Context, objects *s3store.Objects, device, mine string, seen map[string]watched, now time.Time) (*holder, error) {
	h := &holder{objects: objects, key: holdKey(device), etag: s3store.Absent}
	raw, etag, err := objects.Get(ctx, h.key)
	if err != nil && !errors.Is(err, s3store.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		var was hold
		if json.Unmarshal(raw, &was) != nil {
			was = hold{} // a holder that cannot be read is waited for like any other
		}
		w, known := seen[device]
		if !known || w.etag != etag {
			w = watched{etag: etag, since: now, beat: was}
			seen[device] = w
		}
		if !was.Free && (mine == "" || was.Holder != mine) && now.Sub(w.since) < holdTime {
			return nil, nil
		}
		h.etag, h.now.Beat = etag, was.Beat
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	next := hold{Holder: hex.EncodeToString(random[:]), Beat: h.now.Beat + 1}
	if err := h.write(ctx, next); err != nil {
		if _, lost := errors.AsType[*control.Error](err); lost {
			return nil, nil // another was faster
		}
		return nil, err
	}
	return h, nil
}

// slots lists the identities in the bucket.
func slots(ctx context.Context, objects *s3store.Objects) (devices []string, err error) {
	for after := ""; ; {
		page, err := objects.List(ctx, "slots/", after)
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			devices = append(devices, strings.TrimPrefix(o.Key, "slots/"))
			after = o.Key
		}
		if len(page) < s3store.MaxList {
			return devices, nil
		}
	}
}

// takeSlot becomes one of the vaults of the bucket that nobody is, and writes its identity into the data folder. It waits until it is clear that one is free, or that none is.
func (k *keeper) takeSlot(ctx context.Context) error {
	seen := map[string]watched{}
	start := k.now()
	for told := false; ; {
		devices, err := slots(ctx, k.objects)
		if err != nil {
			return err
		}
		if len(devices) == 0 {
			return nil
		}
		for _, device := range devices {
			if k.hold, err = claim(ctx, k.objects, device, "", seen, k.now()); err != nil {
				return err
			}
			if k.hold != nil {
				return k.become(ctx, device)
			}
		}
		if k.now().Sub(start) > holdTime+holdRenew {
			return control.Errorf(control.CodeUsage, "every vault of this bucket runs already (%d): to run one more, make a ticket with `shoal invite --role vault` on an owner's device, and give it with --join", len(devices))
		}
		if !told {
			told = true
			k.cfg.Progress(fmt.Sprintf("Looking for %s whether a vault of this bucket has ended …", holdTime+holdRenew))
		}
		timer := time.NewTimer(holdLook)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// become writes the identity of a slot that this process holds into the data folder.
func (k *keeper) become(ctx context.Context, device string) error {
	s, err := k.readSlot(ctx, device)
	if err != nil {
		return err
	}
	k.cfg.Progress("Taking the place of vault " + device + " …")
	if len(s.Seed) > 0 {
		if err := durable.Replace(k.cfg.file(seedFile), s.Seed); err != nil {
			return err
		}
	}
	return durable.Replace(k.cfg.file(keyFile), []byte(s.Key))
}

func (k *keeper) readSlot(ctx context.Context, device string) (identity, error) {
	raw, _, err := k.objects.Get(ctx, slotKey(device))
	if err != nil {
		return identity{}, fmt.Errorf("slot of vault %s: %w", device, err)
	}
	s, err := decodeSlot(raw)
	if err == nil && s.Device != device {
		err = fmt.Errorf("it is of %s: %w", s.Device, shoal.ErrInvalid)
	}
	if err != nil {
		return s, fmt.Errorf("slot of vault %s: %w", device, err)
	}
	return s, nil
}

// holdOwn takes the slot of the identity in the data folder. What an earlier life of this folder held is taken over at once: the folder is locked, so that life is over.
func (k *keeper) holdOwn(ctx context.Context) error {
	mine, err := os.ReadFile(k.cfg.file(holdFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	seen := map[string]watched{}
	for told := false; k.hold == nil; {
		if k.hold, err = claim(ctx, k.objects, k.id.Device().String(), string(mine), seen, k.now()); err != nil {
			return err
		}
		if k.hold != nil {
			break
		}
		if !told {
			told = true
			k.cfg.Progress("Another process was this vault a moment ago: waiting until it is clear that it has ended …")
		}
		timer := time.NewTimer(holdLook)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
	return durable.Replace(k.cfg.file(holdFile), []byte(k.hold.now.Holder))
}

// saveSlot puts the identity into the bucket if it is not there.
func (k *keeper) saveSlot(ctx context.Context) error {
	device := k.id.Device().String()
	if _, err := k.readSlot(ctx, device); !errors.Is(err, s3store.ErrNotFound) {
		return err
	}
	key, err := os.ReadFile(k.cfg.file(keyFile))
	if err != nil {
		return err
	}
	seed, err := os.ReadFile(k.cfg.file(seedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m := k.roster.State().Mesh()
	raw, err := json.Marshal(identity{Format: slotFormat, Device: device, Mesh: hex.EncodeToString(m[:]), Name: k.settings.Get().Name, Key: string(key), Seed: seed})
	if err != nil {
		return err
	}
	_, err = k.objects.PutIf(ctx, slotKey(device), raw, s3store.Absent)
	return err
}
