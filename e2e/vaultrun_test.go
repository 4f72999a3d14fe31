//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoalmesh/shoal/e2e/lab"
)

// get asks the vault's own address.
func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t), http.MethodGet, url, nil)
	check(t, err)
	answer, err := http.DefaultClient.Do(req)
	check(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	check(t, err)
	return answer.StatusCode, string(raw)
}

func TestAVaultTellsItsHealthAndItsFigures(t *testing.T) {
	beside(t)
	port, err := lab.FreePort()
	check(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	a, b, v := newDevice(t, "anna"), newDevice(t, "ben"), newVault(t, "vera", func(d *lab.Device) { d.Flags = append(d.Flags, "--metrics", addr) })
	a.up(t)
	b.up(t)
	join(t, a, v)
	v.do(t, "vault", "tenants", "add", b.vaultTicket(t, "invite", "--role", "vault", "--yes"), "--data", v.Home)
	a.at(t).random(markFile, 2<<20, 1)
	a.wait(t, "--peers", "1")
	if code, body := get(t, "http://"+addr+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("%d %q", code, body)
	}
	v.do(t, "vault", "health", "--data", v.Home)
	_, body := get(t, "http://"+addr+"/metrics")
	one := v.tenantOf(t, a)
	for _, line := range []string{
		"# TYPE shoal_vault_traffic_bytes_total counter\n",
		`shoal_vault_tenant_up{tenant="` + one.Mesh[:12] + `"} 1` + "\n",
		fmt.Sprintf("shoal_vault_bytes{tenant=%q} %d\n", one.Mesh[:12], one.Used),
		`shoal_vault_lacking_blocks{tenant="` + one.Mesh[:12] + `"} 0` + "\n",
		`shoal_vault_connected_devices{tenant="` + one.Mesh[:12] + `",transport="lan"} 1` + "\n",
		"shoal_process_memory_bytes ",
	} {
		if !strings.Contains(body, line) {
			t.Errorf("the figures lack %q:\n%s", line, body)
		}
	}
	for _, name := range []string{"anna", "ben", "vera", a.status(t).Device.ID, markFile} {
		if strings.Contains(body, name) {
			t.Errorf("the figures tell of %q", name)
		}
	}
	if code, _ := get(t, "http://"+addr+"/v1/vault"); code != 404 {
		t.Errorf("the control API answers %d there", code)
	}

	two := v.tenantOf(t, b)
	v.stop(t)
	check(t, os.WriteFile(filepath.Join(two.Data, "index.db"), bytes.Repeat([]byte("no database"), 9000), 0o600))
	v.up(t)
	if code, body := get(t, "http://"+addr+"/healthz"); code != 503 || body != "tenant "+two.Mesh[:12]+" does not run\n" {
		t.Errorf("%d %q", code, body)
	}
	v.exits(t, 6, "vault", "health", "--data", v.Home)
}

// Everything that a vault logs, at its most talkative, is JSON, and tells nothing that a stranger may not know.
func TestAVaultsLogTellsNoSecrets(t *testing.T) {
	beside(t)
	a, v := newDevice(t, "anna"), newVault(t, "vera", func(d *lab.Device) { d.Flags = append(d.Flags, "--log-format", "json") })
	a.up(t)
	first := a.vaultTicket(t, "invite", "--role", "vault", "--yes")
	v.up(t)
	v.do(t, "vault", "tenants", "add", first, "--data", v.Home)
	unused := v.vaultTicket(t, "vault", "invite", "--data", v.Home)
	a.at(t).write(markFolder+"/"+markFile, markContent)
	a.wait(t, "--peers", "1")
	a.exits(t, 5, "devices", "add-vault", unused) // it keeps this mesh already
	v.stop(t)
	log, err := os.ReadFile(v.Log)
	check(t, err)
	lines := 0
	for line := range strings.Lines(string(log)) {
		if strings.HasPrefix(line, "{") {
			lines++
			var doc struct{ Time, Level, Msg string }
			if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.Msg == "" || doc.Level == "" {
				t.Errorf("no log line: %s", line)
			}
		}
	}
	if lines < 10 {
		t.Errorf("only %d lines of JSON in the log", lines)
	}
	for _, secret := range []string{first, first[6:60], unused, unused[6:60], markContent, markFile, markFolder, filepath.Base(a.Dir)} {
		if before, _, found := strings.Cut(string(log), secret); found {
			t.Errorf("the log tells %q: …%s", secret, before[max(0, len(before)-100):])
		}
	}
}

// An upgrade: the vault is told to end while it receives, and starts again. What it has received is not sent again.
func TestARestartOfTheVaultInATransferLosesNothingOfIt(t *testing.T) {
	beside(t)
	n := privateNetwork(t)
	a, v := newDevice(t, "anna", alone(n), quiet), newVault(t, "vera", alone(n), quiet)
	a.up(t)
	join(t, a, v)
	a.wait(t, "--peers", "1")
	const size = 400 << 20
	before := wire(t, a)
	a.at(t).random("much", size, 1)
	for _, part := range []int64{size / 4, size / 2} {
		eventually(t, "a part of it is there", func() error {
			if got := wire(t, a) - before; got < part {
				return fmt.Errorf("%d bytes", got)
			}
			return nil
		})
		check(t, v.Signal(syscall.SIGTERM))
		code, err := v.Ended(within(t))
		check(t, err)
		if code != 0 {
			t.Errorf("it ended with %d", code)
		}
		check(t, v.Start())
		check(t, v.Ready(within(t)))
	}
	a.wait(t, "--peers", "1")
	sent := wire(t, a) - before
	t.Logf("%d MiB on the wire for %d MiB", sent>>20, size>>20)
	if n != nil && sent > size+size/4 {
		t.Errorf("%d bytes went over the wire for %d", sent, size)
	}
}
