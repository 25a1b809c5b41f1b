package escl

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"docscan/device"
	"docscan/device/quirks"
)

// Config is the table [device.escl] of docscan.toml.
type Config struct {
	// URLs are the eSCL roots of network scanners, such as
	// http://10.0.0.7/eSCL.
	URLs []string `toml:"urls"`
}

// DefaultConfig is what holds where docscan.toml is silent.
func DefaultConfig() Config { return Config{URLs: []string{}} }

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	for _, s := range c.URLs {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("urls has %q; it must be like http://10.0.0.7/eSCL", s)
		}
	}
	return nil
}

// Finder gives the configured network scanners. Whether one is there, opening
// it tells.
type Finder struct {
	found []device.Found
}

var _ device.Finder = (*Finder)(nil)

// NewFinder returns a finder for the scanners that cfg names. temp is that of
// Options.
func NewFinder(cfg Config, temp string, q *quirks.List, log *slog.Logger) *Finder {
	f := &Finder{}
	for _, s := range cfg.URLs {
		f.found = append(f.found, Network(s, temp, q, log))
	}
	return f
}

// Find lists the scanners, without asking them anything.
func (f *Finder) Find(context.Context) ([]device.Found, error) { return f.found, nil }

// Network is the scanner at the eSCL root u. Its address is its identity.
func Network(u, temp string, q *quirks.List, log *slog.Logger) device.Found {
	info := device.Info{ID: networkID(u), Port: u}
	return device.Found{
		Info: info,
		Open: func(ctx context.Context) (device.Scanner, error) {
			return Open(ctx, Options{BaseURL: u, HTTP: transport(), Info: info, Temp: temp, List: q, Log: log})
		},
	}
}

// networkID makes a URL-safe name of an address.
func networkID(u string) string {
	name := strings.ToLower(u)
	_, name, _ = strings.Cut(name, "://")
	return "net-" + strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.TrimSuffix(strings.TrimSuffix(name, "/"), "/escl")), "-")
}

// transport is HTTP as small machines like it: few connections, kept.
func transport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxConnsPerHost:        3,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
