package sane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"docscan/device"
	"docscan/device/confine"
	"docscan/device/usb"
)

// call is the time for one call that moves no paper.
func (c *Config) call() time.Duration { return time.Duration(c.CallSeconds) * time.Second }

// Finder finds scanners through libsane. Searching takes seconds and opens
// devices, so it is done in the background: at the start, after Changed, and once
// in a while.
type Finder struct {
	cfg    Config
	dir    string                      // of settings for helpers, their calibration data, and pages of unknown length
	drives func(bus, address int) bool // a driver of ours has that USB device
	sys    string                      // sysfs
	log    *slog.Logger

	launcher *launcher
	runs     atomic.Int32 // open ones
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup // searches under way: none or one

	mu      sync.Mutex
	due     bool          // something has changed since the last search began
	last    time.Time     // when the last search ended
	busy    chan struct{} // closed when the search under way ends; nil: there is none
	found   []listed      // by the last search
	bad     []string      // backends that hung or crashed in it
	places  map[string]*usbDevice
	held    map[string]listed // devices that are open, by name
	told    string            // the last reason why nothing can be found, which is logged once
	greeted bool              // the bounds of helpers were logged
}

var _ device.Finder = (*Finder)(nil)

// entry is a device that can be opened.
type entry struct {
	listed listed
	usb    *usbDevice // nil: not on USB, or nobody can say where
	info   device.Info
}

// NewFinder makes a Finder whose helpers are started as `exe sane-helper` and
// write below dir. drives says whether a USB device has a driver of ours, so that
// nothing is opened in two ways.
func NewFinder(cfg Config, exe, dir string, drives func(bus, address int) bool, log *slog.Logger) (*Finder, error) {
	return newFinder(cfg, exe, dir, libraryFile, drives, log)
}

func newFinder(cfg Config, exe, dir, library string, drives func(bus, address int) bool, log *slog.Logger) (*Finder, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("sane settings: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder for libsane: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for libsane: %w", err)
	}
	f := &Finder{
		cfg: cfg, dir: dir, drives: drives, sys: "/sys", log: log,
		due: true, places: make(map[string]*usbDevice), held: make(map[string]listed),
	}
	f.launcher = newLauncher(exe, helperFlags{library: library, dir: dir, readable: []string{cfg.ConfigDir}, memoryMB: cfg.MemoryMB}, cfg.ConfigDir)
	f.ctx, f.stop = context.WithCancel(context.Background())
	return f, nil
}

// Close ends the search under way and all helpers. All scanners must have been
// closed before.
func (f *Finder) Close() error {
	f.stop()
	f.work.Wait()
	f.launcher.close()
	return nil
}

// Changed says that devices have come or gone on USB: the next Find begins a new
// search.
func (f *Finder) Changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.due = true
}

// Find lists the devices of the last search that are still here, and begins
// another one in the background when it is due. It waits for nothing.
func (f *Finder) Find(context.Context) ([]device.Found, error) {
	if !f.cfg.Enabled {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.search()
	if len(f.found) == 0 && len(f.held) == 0 {
		return nil, nil
	}
	var list []device.Found
	for _, e := range f.entries(usbDevices(f.sys)) {
		list = append(list, device.Found{Info: e.info, Open: func(ctx context.Context) (device.Scanner, error) {
			return f.open(ctx, e)
		}})
	}
	return list, nil
}

// entries are the devices of the last search and those that are open, as far as
// they are here; f.mu is held. What two backends offer is taken from the first.
func (f *Finder) entries(here []usbDevice) []entry {
	all := slices.Clone(f.found)
	for _, name := range slices.Sorted(maps.Keys(f.held)) {
		// A device that we hold is one that a search need not see.
		if !slices.ContainsFunc(all, func(d listed) bool { return d.Name == name }) {
			all = append(all, f.held[name])
		}
	}
	// One that is open stays with the backend that has it.
	slices.SortStableFunc(all, func(x, y listed) int {
		_, hx := f.held[x.Name]
		_, hy := f.held[y.Name]
		switch {
		case hx && !hy:
			return -1
		case hy && !hx:
			return 1
		}
		return 0
	})
	taken := make(map[string]bool) // ports
	ids := make(map[string]bool)
	var list []entry
	for _, d := range all {
		at := f.places[d.Name]
		if at != nil {
			if !contains(here, at) || taken[at.desc.Port] || f.drives(at.bus, at.address) {
				continue
			}
			taken[at.desc.Port] = true
		}
		e := entry{d, at, infoOf(d, at)}
		if ids[e.info.ID] { // two machines with one serial number
			e.info.ID += "-" + usb.Slug(e.info.Port)
		}
		if e.info.ID == "" || ids[e.info.ID] {
			continue
		}
		ids[e.info.ID] = true
		list = append(list, e)
	}
	return list
}

// infoOf says what a device is. On USB its ID is what a driver of ours would give
// it; elsewhere it is made of the backend's name for it.
func infoOf(d listed, at *usbDevice) device.Info {
	model := d.Model
	if rest, ok := strings.CutPrefix(model, d.Vendor+" "); ok {
		model = rest
	}
	info := device.Info{ID: usb.Slug("sane " + d.Name), Make: d.Vendor, Model: model, Port: "sane:" + d.Name, Driver: "sane"}
	if at != nil {
		info.ID, info.Serial, info.Port = usb.ID(at.said, at.desc), at.said.Serial, at.desc.Port
	}
	return info
}

func contains(here []usbDevice, d *usbDevice) bool {
	return slices.ContainsFunc(here, func(o usbDevice) bool { return d.same(&o) })
}

// open opens a device. A search under way may have it open for a moment, so that
// is waited for.
func (f *Finder) open(ctx context.Context, e entry) (device.Scanner, error) {
	f.mu.Lock()
	busy := f.busy
	f.mu.Unlock()
	if busy != nil {
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("open %s: wait for the search for devices: %w", e.listed.Name, ctx.Err())
		}
	}
	s, err := openScanner(ctx, f, e)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f.held[e.listed.Name] = e.listed
	return s, nil
}

// released is called when a scanner has been closed. One whose helper had died,
// or that the last search did not see as we held it, is searched for again.
func (f *Finder) released(s *Scanner, dead bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, s.name)
	if dead || !slices.ContainsFunc(f.found, func(d listed) bool { return d.Name == s.name }) {
		f.due = true
	}
}

// helper starts a helper with all backends.
func (f *Finder) helper(ctx context.Context) (*process, error) {
	conf, err := f.conf("all", nil)
	if err != nil {
		return nil, err
	}
	return f.start(ctx, conf)
}

// start starts a helper and logs the first time what bounds it.
func (f *Finder) start(ctx context.Context, conf string) (*process, error) {
	p, r, err := f.launcher.start(ctx, conf)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.greeted {
		f.greeted = true
		f.log.Info("helpers for libsane are confined", "by", r.InForce)
		if len(r.Missing) > 0 {
			f.log.Warn("helpers for libsane are confined less than they could be on another kernel", "missing", r.Missing)
		}
	}
	return p, nil
}

// conf writes settings under that name with the system's backends, without those
// to be left out, and gives their folder. Several helpers may be started at once,
// so a folder is written once and stays.
func (f *Finder) conf(name string, without []string) (string, error) {
	names, err := backends(f.cfg.ConfigDir)
	if err != nil {
		return "", err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return f.cfg.excludes(n) || slices.Contains(without, n) })
	dir := filepath.Join(f.dir, "conf", name)
	return dir, writeConf(dir, names)
}

// retryEvery is how long after a search that failed another one is made.
const retryEvery = 5 * time.Minute

// search begins a search if one is due and may be made now; f.mu is held.
func (f *Finder) search() {
	wait := time.Duration(f.cfg.RelistSeconds) * time.Second
	if f.told != "" {
		wait = retryEvery
	}
	old := wait > 0 && !f.last.IsZero() && time.Since(f.last) > wait
	// A search opens what it finds, so it waits for runs to end.
	if !f.due && !old || f.busy != nil || f.runs.Load() > 0 || f.ctx.Err() != nil {
		return
	}
	f.due = false
	done := make(chan struct{})
	f.busy = done
	bad := f.bad
	f.work.Go(func() {
		list, bad, err := f.list(bad)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.busy = nil
		close(done)
		f.last = time.Now()
		if f.ctx.Err() != nil {
			return
		}
		f.keep(list, bad, err)
	})
}

// keep takes over what a search found; f.mu is held.
func (f *Finder) keep(list []listed, bad []string, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	switch {
	case said == f.told:
	case errors.Is(err, errMissing):
		f.log.Warn("scanners that need libsane are not found: install the Debian package libsane1. All other scanners work", "err", err)
	case err != nil:
		f.log.Warn("searching for scanners through libsane failed", "err", err)
	}
	f.told = said
	if err != nil {
		return // what could not be looked for is not gone
	}
	for _, name := range bad {
		if !slices.Contains(f.bad, name) {
			f.log.Warn("SANE backend hangs or crashes in the search for scanners; the others work", "backend", name)
		}
	}
	f.bad = bad
	here := usbDevices(f.sys)
	places := make(map[string]*usbDevice)
	for _, d := range list {
		places[d.Name] = deviceOf(d.Name, here)
	}
	for name := range f.held { // where it is was found out when it was opened
		if at, ok := f.places[name]; ok {
			places[name] = at
		}
	}
	f.found, f.places = list, places
}

// list searches: with all backends but the bad ones, and then with each of those
// by itself, which may have recovered. If that fails, one of the others has gone
// bad, and every one is tried by itself.
func (f *Finder) list(bad []string) (found []listed, stillBad []string, err error) {
	dir, err := f.conf("search", bad)
	if err != nil {
		return nil, nil, err
	}
	found, err = f.listWith(dir, time.Duration(f.cfg.ListSeconds)*time.Second)
	single := bad
	if errors.Is(err, errDead) {
		f.log.Warn("search for scanners failed; trying each SANE backend by itself", "err", err)
		if single, err = backends(f.cfg.ConfigDir); err != nil {
			return nil, nil, err
		}
		found = nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, name := range single {
		if f.cfg.excludes(name) {
			continue
		}
		dir := filepath.Join(f.dir, "conf", "one")
		if err := writeConf(dir, []string{name}); err != nil {
			return nil, nil, err
		}
		more, err := f.listWith(dir, min(oneBackend, time.Duration(f.cfg.ListSeconds)*time.Second))
		switch {
		case errors.Is(err, errDead):
			stillBad = append(stillBad, name)
		case err != nil:
			return nil, nil, err
		}
		found = append(found, more...)
	}
	return found, stillBad, nil
}

// oneBackend is how long one backend may search.
const oneBackend = 15 * time.Second

// listWith has a helper list what the backends of one folder of settings find.
func (f *Finder) listWith(conf string, timeout time.Duration) ([]listed, error) {
	p, err := f.start(f.ctx, conf)
	if err != nil {
		return nil, err
	}
	a, _, err := p.call(f.ctx, timeout, &request{Op: opList})
	p.stop(stopTime)
	switch {
	case err != nil:
		return nil, err
	case a.Missing != "":
		return nil, fmt.Errorf("%w: %s", errMissing, confine.Plain(a.Missing))
	case a.Status != statusGood:
		return nil, fmt.Errorf("list the devices: %v", a.Status)
	}
	// What an excluded backend offers all the same, through one that is not.
	return slices.DeleteFunc(a.Devices, func(d listed) bool {
		backend, _, ok := strings.Cut(d.Name, ":")
		return !ok || f.cfg.excludes(backend)
	}), nil
}
