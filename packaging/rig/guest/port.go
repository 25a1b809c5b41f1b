package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"docscan/device/sim"
	"docscan/device/sim/usbface"
	"docscan/device/sim/usbip"
)

// paperDir is the paper in the scanner's feeder.
const paperDir = "/run/rig-paper"

// sheetsPerMinute leaves time to see the lights of a scan.
const sheetsPerMinute = 60

// port is the simulated scanner and the USB port that it is plugged into. The
// scanner stays the same one when it is plugged in elsewhere.
type port struct {
	scanner  *sim.Scanner
	log      *slog.Logger
	device   *usbface.Device
	attached *usbip.Attached

	mu   sync.Mutex
	jobs []time.Time // when docscand asked for each run
}

func newPort(log *slog.Logger) (*port, error) {
	cfg := sim.DefaultConfig()
	cfg.Stack, cfg.Duplex, cfg.Resolution, cfg.SheetsPerMinute, cfg.Listen = paperDir, false, paperDPI, sheetsPerMinute, ""
	s, err := sim.New(cfg, log)
	if err != nil {
		return nil, err
	}
	return &port{scanner: s, log: log}, nil
}

// plug plugs the scanner into the port of that number, which counts from 0.
func (p *port) plug(number int) error {
	dev, err := usbface.New(usbface.DefaultLayout(), usbface.Faults{}, p.handler(), p.log)
	if err != nil {
		return fmt.Errorf("plug in the scanner: %w", err)
	}
	a, err := usbip.Attach(usbip.Controller, number, dev)
	if err != nil {
		return fmt.Errorf("plug in the scanner: %w", err)
	}
	p.device, p.attached = dev, a
	return nil
}

// pull pulls the plug.
func (p *port) pull() error {
	if err := p.attached.Detach(); err != nil {
		return fmt.Errorf("pull the plug: %w", err)
	}
	if err := p.device.Close(); err != nil {
		return fmt.Errorf("pull the plug: %w", err)
	}
	return nil
}

// handler is the scanner's, with an eye on the beginning of runs.
func (p *port) handler() http.Handler {
	h := p.scanner.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ScanJobs") {
			p.mu.Lock()
			p.jobs = append(p.jobs, time.Now())
			p.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

// asked says when docscand first asked for a run after from.
func (p *port) asked(from time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.jobs {
		if t.After(from) {
			return t, true
		}
	}
	return time.Time{}, false
}
