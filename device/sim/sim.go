// Package sim is a simulated document scanner that speaks eSCL on the wire: a
// feeder that is loaded from a folder of page images, a platen, a panel with a
// button and a light, and the faults of real machines.
//
// It has two faces. Over HTTP on loopback it is what `make run` scans from; its
// [Scanner.Handler] is also served through a simulated USB device (package
// usbface). That it is a scanner, third parties say: SANE's airscan driver and
// ipp-usb accept it.
package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/escl"
	"docscan/device/sim/paper"
)

// Config is the table [device.sim] of docscan.toml.
type Config struct {
	// Enabled puts the simulated scanner beside the real ones.
	Enabled bool `toml:"enabled"`
	// Stack is the folder whose PNG, JPEG and TIFF files are the paper, in the
	// order of their names. It is read whenever an empty feeder is started.
	Stack string `toml:"stack"`
	// Duplex says that the files alternate front, back.
	Duplex bool `toml:"duplex"`
	// Resolution is what the scanner says its images have, in dpi.
	Resolution int `toml:"resolution"`
	// SheetsPerMinute is how fast it feeds; 0 is as fast as it can.
	SheetsPerMinute int `toml:"sheets_per_minute"`
	// Listen is the loopback address of its web server; port 0 picks one.
	Listen string `toml:"listen"`
	// Make, Model and Serial are what it says it is.
	Make   string `toml:"make"`
	Model  string `toml:"model"`
	Serial string `toml:"serial"`
	// ByHand leaves a feeder that has run empty as it is until Refill; otherwise
	// the next start loads the folder again.
	ByHand bool `toml:"-"`
}

// DefaultConfig is what holds where docscan.toml is silent.
func DefaultConfig() Config {
	return Config{
		Stack: "var/stack", Duplex: true, Resolution: 300, SheetsPerMinute: 40, Listen: "127.0.0.1:0",
		Make: "docscan", Model: "Simulated Scanner", Serial: "SIM-1",
	}
}

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	ip := net.ParseIP(host)
	switch {
	case !c.Enabled:
		return nil
	case c.Stack == "":
		return errors.New("stack is empty; it must name a folder of page images")
	case c.Resolution < 50 || c.Resolution > 1200:
		return fmt.Errorf("resolution is %d; it must be 50 to 1200", c.Resolution)
	case c.SheetsPerMinute < 0 || c.SheetsPerMinute > 100_000:
		return fmt.Errorf("sheets_per_minute is %d; it must be 0 to 100000", c.SheetsPerMinute)
	case err != nil || ip == nil || !ip.IsLoopback():
		return fmt.Errorf("listen is %q; it must be a loopback address such as 127.0.0.1:0", c.Listen)
	case c.Make == "" || c.Model == "" || c.Serial == "":
		return errors.New("make, model and serial must not be empty")
	}
	return nil
}

// replugAfter is how long the scanner stays away after an unplug that nobody
// clears.
const replugAfter = 5 * time.Second

// sheet is one piece of paper in the feeder: the files of its sides.
type sheet struct {
	front, back string // back is "" in a simplex stack, or for an odd last file
}

// Scanner is the simulated machine. Its methods may be called from any
// goroutine.
type Scanner struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener // nil without a web server
	panel    *Panel

	mu     sync.Mutex
	hopper []sheet // what the feeder holds
	kept   bool    // the hopper is what a fault or a cancel left: do not reload
	ran    bool    // the feeder has run empty; whoever starts it next loads the folder again
	job    *job
	jobs   int       // so far
	asked  time.Time // when a job was asked for last
	armed  *Fault
	struck *Fault // the fault the machine stands in
	away   time.Time
}

// New returns a scanner whose web server has its address but serves only while
// Serve runs. With an empty Listen there is none, and Handler is the only way
// in.
func New(cfg Config, log *slog.Logger) (*Scanner, error) {
	s := &Scanner{cfg: cfg, log: log, panel: newPanel()}
	if cfg.Listen == "" {
		return s, nil
	}
	var err error
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("simulated scanner: %w", err)
	}
	return s, nil
}

// URL is the root of its web server; below it are eSCL and sim.
func (s *Scanner) URL() string { return "http://" + s.listener.Addr().String() }

// Panel is its button and light.
func (s *Scanner) Panel() *Panel { return s.panel }

// Serve serves the web until ctx ends.
func (s *Scanner) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("/eSCL/", s.Handler())
	mux.Handle("/sim/", s.control())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	s.log.Info("simulated scanner panel", "url", s.URL()+"/sim/")
	if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("simulated scanner: %w", err)
	}
	return nil
}

// Find makes the scanner known as the network scanner that it is; while it is
// unplugged it is not there.
func (s *Scanner) Find(context.Context) ([]device.Found, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unplugged() {
		return nil, nil
	}
	info := device.Info{ID: "sim-" + strings.ToLower(s.cfg.Serial), Make: s.cfg.Make, Model: s.cfg.Model, Serial: s.cfg.Serial, Port: s.URL() + "/eSCL"}
	return []device.Found{{Info: info, Open: func(ctx context.Context) (device.Scanner, error) {
		return escl.Open(ctx, escl.Options{BaseURL: info.Port, HTTP: &http.Transport{DisableCompression: true}, Info: info, Log: s.log})
	}}}, nil
}

// unplugged reports whether the scanner is away; s.mu is held.
func (s *Scanner) unplugged() bool {
	if s.struck == nil || s.struck.Kind != Unplugged {
		return false
	}
	if time.Now().Before(s.away) {
		return true
	}
	s.struck = nil
	return false
}

// load reads the folder into an empty feeder; s.mu is held.
func (s *Scanner) load() error {
	if len(s.hopper) > 0 || s.kept || s.ran && s.cfg.ByHand {
		return nil
	}
	s.ran = false
	files, err := pages(s.cfg.Stack)
	if err != nil {
		return err
	}
	for len(files) > 0 {
		sh := sheet{front: files[0]}
		files = files[1:]
		if s.cfg.Duplex && len(files) > 0 {
			sh.back, files = files[0], files[1:]
		}
		s.hopper = append(s.hopper, sh)
	}
	return nil
}

// pages lists the page images of a folder by name. A folder that is not there
// is an empty one.
func pages(dir string) ([]string, error) {
	files, err := paper.Files(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// loaded reports whether the sensor of the feeder sees paper: what is in it, or
// the folder that has not been loaded yet. A feeder that has run empty is empty,
// even though its next start loads the folder again; s.mu is held.
func (s *Scanner) loaded() bool {
	if len(s.hopper) > 0 {
		return true
	}
	if s.kept || s.ran {
		return false
	}
	files, err := pages(s.cfg.Stack)
	return err == nil && len(files) > 0
}
