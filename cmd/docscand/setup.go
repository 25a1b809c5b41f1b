package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"docscan/web"
)

// Whoever unpacks a box has no terminal on it. What a screen that is connected to it shows
// before anybody logs in is proof enough of having the box: agetty (util-linux) shows the
// files in /run/issue.d, where the package puts a link to this one. Only root and docscan
// can read it.
const consoleFile = "setup.issue"

// consolePath is where it lies: in the folder that systemd makes for the service, "" if it
// has made none.
func consolePath() string {
	for dir := range strings.SplitSeq(os.Getenv("RUNTIME_DIRECTORY"), ":") {
		if filepath.Base(dir) == "docscan" {
			return filepath.Join(dir, consoleFile)
		}
	}
	return ""
}

// consoleText tells how to set up docscan. \4 is agetty's word for the box's address in the
// network, which it shows anew when that changes.
func consoleText(at, listen, fingerprint, code string) []byte {
	scheme, _, _ := strings.Cut(at, "://")
	where := at
	if host, port, err := net.SplitHostPort(listen); err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		where = scheme + `://\4:` + port
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "docscan is not set up yet. Open in a browser on another machine\n    %s/setup\nand type the code\n    %s\n", where, code)
	if fingerprint != "" {
		fmt.Fprintf(&b, "The browser will warn of its certificate, whose SHA-256 fingerprint is\n    %s\n", fingerprint)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// clearConsole takes the code away when there is nothing to set up any more.
func clearConsole() {
	if path := consolePath(); path != "" {
		_ = os.Remove(path) // the code in it no longer works
	}
}

// offerSetup shows the code on the screen of the box and gets a new one before it
// ends, until the box is set up, ctx ends or another process is the main one.
func (d *process) offerSetup(ctx context.Context, site *web.Server, at, code string) {
	path := consolePath()
	renew := time.NewTicker(web.SetupTime * 9 / 10)
	defer renew.Stop()
	for code != "" && path != "" {
		if err := os.WriteFile(path, consoleText(at, d.cfg.Web.Listen, d.fingerprint(), code), 0o600); err != nil {
			d.log.Warn("the set-up code cannot be shown on the screen of the box", "err", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-d.handedOver:
			return
		case <-renew.C:
		}
		var err error
		if code, err = site.SetupCode(); err != nil {
			d.log.Warn("the set-up code could not be renewed", "err", err)
			return
		}
		if code != "" {
			greet(at, d.fingerprint(), code)
		}
	}
	if path != "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.log.Warn("an old set-up code stays on the screen of the box; it no longer works", "err", err)
		}
	}
}
