package ippusb

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"docscan/device/usb"
)

// statePort is where ipp-usb notes, in the file of a device, the port of this
// machine at which it serves it.
var statePort = regexp.MustCompile(`(?m)^\s*http-port\s*=\s*"?(\d{1,5})"?\s*$`)

// maxState bounds a file of ipp-usb's, which has a few lines.
const maxState = 64 << 10

// ippusbPort gives the loopback port at which ipp-usb serves the device d with
// that serial number, or 0. dir is where ipp-usb keeps a file for each device it
// has ever seen, named after vendor, product, serial number and model.
func ippusbPort(dir string, d usb.Desc, serial string) int {
	names, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("%04[1]x-%04[2]x-*.state", d.Vendor, d.Product)))
	if err != nil || len(names) == 0 {
		return 0
	}
	plain := func(s string) string { return strings.ReplaceAll(usb.Slug(s), "-", "") }
	for _, name := range names {
		// One file is the machine's; of several it is the one with its serial number.
		if len(names) > 1 && (serial == "" || !strings.Contains(plain(filepath.Base(name)), plain(serial))) {
			continue
		}
		info, err := os.Stat(name)
		if err != nil || info.Size() > maxState {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if m := statePort.FindSubmatch(b); m != nil {
			if port, err := strconv.Atoi(string(m[1])); err == nil && port > 0 && port < 1<<16 {
				return port
			}
		}
	}
	return 0
}

// loopback is HTTP to that port of this machine, whatever host a request names.
func loopback(port int) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(port)))
		},
		MaxConnsPerHost:        3,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}
