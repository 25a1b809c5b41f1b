package ippusb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/sim/bustest"
	"docscan/device/usb"
)

// rig is a machine on the simulated bus, reached through the real libusb.
type rig struct {
	finder *Finder
	bus    *usb.Bus
	client *http.Client
	info   device.Info
	opened device.Scanner
}

// bare is a scanner that is nothing but its transport.
type bare struct{ info device.Info }

func (b bare) Info() device.Info                             { return b.info }
func (b bare) Caps() device.Caps                             { return device.Caps{} }
func (b bare) Status(context.Context) (device.Status, error) { return device.Status{}, nil }
func (b bare) Start(context.Context, device.Settings) (device.Run, error) {
	return nil, device.ErrUnsupported
}
func (b bare) Close() error { return nil }

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	r := &rig{bus: usb.NewBus(usb.Config{SettleMS: 10}, log)}
	r.finder = NewFinder(cfg, r.bus, func(_ context.Context, rt http.RoundTripper, info device.Info) (device.Scanner, error) {
		r.client = &http.Client{Transport: rt, Timeout: 30 * time.Second}
		return bare{info}, nil
	}, log)
	found, err := r.finder.Find(t.Context())
	if err != nil || len(found) != 1 {
		t.Fatalf("Find = %v, %v, want one machine", found, err)
	}
	r.info = found[0].Info
	if r.opened, err = found[0].Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := r.opened.Close(); err != nil {
			t.Errorf("Close scanner: %v", err)
		}
		if err := r.bus.Close(); err != nil {
			t.Errorf("Close bus: %v", err)
		}
	})
	return r
}

func (r *rig) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://scanner.invalid"+path, nil)
	if err != nil {
		return nil, err
	}
	return r.client.Do(req)
}

// hello does one small exchange and checks that it is in step.
func (r *rig) hello(t *testing.T, i int) {
	t.Helper()
	resp, err := r.get(t.Context(), fmt.Sprintf("/hello/%d", i))
	if err != nil {
		t.Fatalf("exchange %d: %v", i, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), fmt.Sprintf("/hello/%d", i)) {
		t.Fatalf("exchange %d: %q, %v", i, body, err)
	}
}

func TestOnBusManyRequests(t *testing.T) {
	bustest.Run(t, nil, func(t *testing.T) {
		r := newRig(t, DefaultConfig())
		for i := range 300 {
			r.hello(t, i)
		}
		start := time.Now()
		resp, err := r.get(t.Context(), "/bytes")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || n != 10<<20 {
			t.Fatalf("big body: %d bytes, %v", n, err)
		}
		t.Logf("10 MB in %v", time.Since(start))
	})
}

var _ = errors.New
var _ sync.Mutex
