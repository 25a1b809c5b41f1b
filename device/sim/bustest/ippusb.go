package bustest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ippusbConf keeps the daemon on this machine and out of its DNS-SD.
const ippusbConf = `[network]
dns-sd = disable
interface = loopback
ipv6 = disable
[logging]
device-log = debug
main-log = debug
`

// ippusbScript gives the daemon, whose paths are fixed, an /etc and a /var of
// its own and then becomes it.
const ippusbScript = `mount --bind "$1/etc" /etc/ipp-usb && mount --bind "$1/var" /var && exec ipp-usb standalone`

// httpPort is where ipp-usb notes the port of a device.
var httpPort = regexp.MustCompile(`(?m)^http-port\s*=\s*(\d+)`)

// IPPUSB starts Debian's ipp-usb on the bus on which the caller runs and waits
// until it serves the device. It gives the address, such as
// http://localhost:60000. The daemon ends with the test.
func IPPUSB(t *testing.T) string {
	t.Helper()
	url, _ := IPPUSBIn(t)
	return url
}

// IPPUSBIn is IPPUSB that also gives the folder in which the daemon keeps its
// files on devices.
func IPPUSBIn(t *testing.T) (address, devices string) {
	t.Helper()
	for name, pkg := range map[string]string{"ipp-usb": "ipp-usb", "unshare": "util-linux", "mount": "mount"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v\nIt is in the Debian package %s.", err, pkg)
		}
	}
	dir := t.TempDir()
	if strings.HasPrefix(dir, "/var/") {
		t.Fatalf("The temporary folder %s is below /var, which ipp-usb gets one of its own of: set TMPDIR to another place.", dir)
	}
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "var"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc", "ipp-usb.conf"), []byte(ippusbConf), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--mount"}
	if os.Geteuid() != 0 {
		args = append(args, "--map-root-user") // ipp-usb insists on being root
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "unshare", append(args, "sh", "-c", ippusbScript, "sh", dir)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start ipp-usb: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	logs := func() string {
		text := out.String()
		names, _ := filepath.Glob(filepath.Join(dir, "var/log/ipp-usb/*.log")) // the pattern is good
		for _, name := range names {
			b, err := os.ReadFile(name)
			text += fmt.Sprintf("%s: %v\n%s", filepath.Base(name), err, b)
		}
		return text
	}
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(logs())
		}
	})
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		if url := ippusbReady(t.Context(), dir); url != "" {
			return url, filepath.Join(dir, "var/ipp-usb/dev")
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("ipp-usb ended: %v\n%s\nIt needs the right to mount in a namespace of its own: root, or user namespaces.", err, logs())
		case <-deadline.C:
			t.Fatalf("ipp-usb does not serve the device after 30 s")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ippusbReady gives the address at which ipp-usb serves the device, or "".
func ippusbReady(ctx context.Context, dir string) string {
	names, _ := filepath.Glob(filepath.Join(dir, "var/ipp-usb/dev/*.state")) // the pattern is good
	if len(names) == 0 {
		return ""
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		return ""
	}
	port := httpPort.FindSubmatch(b)
	if port == nil {
		return ""
	}
	url := "http://localhost:" + string(port[1])
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/eSCL/ScannerCapabilities", nil)
	if err != nil {
		return ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	return url
}
