package main

import (
	"net"
	"path/filepath"
	"testing"

	"docscan/packaging/swap"
	"docscan/web"
)

// A process that takes over a socket encrypts what comes over it if others than this machine
// reach that socket, whatever address newer settings name.
func TestSocketTellsEncryption(t *testing.T) {
	for _, tt := range []struct {
		socket, tls, listen string
		want                bool
	}{
		{":0", "auto", "127.0.0.1:8000", true}, // as where a pushed docscan.toml names no address
		{"0.0.0.0:0", "auto", "localhost:8000", true},
		{"127.0.0.1:0", "auto", ":8000", false}, // nobody else can reach it yet
		{"127.0.0.1:0", "on", "127.0.0.1:8000", true},
		{":0", "off", ":8000", false},
		{"127.0.0.1:0", "auto", "box:8000", true}, // Debian gives a box's own name a loopback address
	} {
		public, err := net.Listen("tcp", tt.socket)
		must(t, err)
		defer public.Close()
		local, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
		must(t, err)
		defer local.Close()
		p, err := swap.NewListener(public)
		must(t, err)
		l, err := swap.NewListener(local)
		must(t, err)
		d := &process{cfg: defaultConfig(), log: quietLog}
		d.cfg.Store.Dir, d.cfg.Web.TLS, d.cfg.Web.Listen = t.TempDir(), tt.tls, tt.listen
		d.frame, err = swap.NewFrame(p, l, swap.Servers{}, nil, quietLog)
		must(t, err)
		must(t, d.openCertificate(web.OpenCertificate))
		if got := d.cert != nil; got != tt.want {
			t.Errorf("tls %s with listen %s on a socket at %s: encrypted %t, want %t", tt.tls, tt.listen, tt.socket, got, tt.want)
		}
	}
}
