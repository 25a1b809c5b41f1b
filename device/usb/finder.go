package usb

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"docscan/device"
)

// Config says whether machines on USB are used.
type Config struct {
	Enabled  bool `toml:"enabled"`
	SettleMS int  `toml:"settle_ms"` // pause between taking a machine from the kernel and using it, in milliseconds
}

// DefaultConfig has the pause that ipp-usb found necessary.
func DefaultConfig() Config { return Config{Enabled: true, SettleMS: 250} }

// Check says what is wrong with c.
func (c *Config) Check() error {
	if c.SettleMS < 0 || c.SettleMS > 10_000 {
		return fmt.Errorf("settle_ms is %d: it must be from 0 to 10000", c.SettleMS)
	}
	return nil
}

// A Driver knows one family of machines.
type Driver interface {
	// Match says, by what can be told without opening it, whether d may be one.
	Match(d Desc) bool

	// Know says what d is, by its own words: make, model and driver. It
	// reports false for a machine that is none of the family after all. A make
	// and model that are known better than the machine's own words name it.
	Know(d Desc, s Strings) (device.Info, bool)

	// Open opens a machine that Know has known.
	Open(ctx context.Context, bus *Bus, d Desc, info device.Info) (device.Scanner, error)
}

// A Namer is what a Driver is too whose machines may keep their serial number out
// of their descriptors.
type Namer interface {
	// Serial asks a machine that Know has known for it, in the machine's own
	// protocol; "" is one that has none.
	Serial(ctx context.Context, bus *Bus, d Desc) (string, error)
}

// SerialOf opens a machine whose scanner knows its serial number by then, for
// Serial of a driver that has no shorter way.
func SerialOf(ctx context.Context, v Driver, bus *Bus, d Desc) (string, error) {
	s, err := v.Open(ctx, bus, d, device.Info{})
	if err != nil {
		return "", err
	}
	return s.Info().Serial, s.Close()
}

// serialTimeout bounds that question.
const serialTimeout = 10 * time.Second

// Finder finds the machines on the bus that one of its drivers knows. The first
// driver that knows a machine has it: no machine is opened in two ways.
type Finder struct {
	bus     *Bus
	drivers []Driver
	log     *slog.Logger

	ctx    context.Context // of the questions under way
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	known  map[place]*machine
	asking map[place]bool
}

var _ device.Finder = (*Finder)(nil)

// place is where a machine is until it is unplugged. The ids are there because
// an address is used again after a while.
type place struct {
	port            string
	bus, address    int
	vendor, product uint16
}

func placeOf(d Desc) place {
	return place{d.Port, d.Bus, d.Address, d.Vendor, d.Product}
}

// machine is what was learnt when a machine was first seen.
type machine struct {
	info   device.Info
	named  bool   // info.ID is final: no other machine has it
	driver Driver // nil for what is no scanner of ours

	refused int       // tries to ask it that failed, in a row
	again   time.Time // when the next one may be made
}

// A machine that does not say what it is is asked again, and then ever more
// seldom: it may get a reset of its port each time. askPatience is how long Find
// waits for those it has just begun to ask; a healthy one needs half a second.
const (
	firstRetry  = time.Second
	lastRetry   = 30 * time.Second
	askPatience = 2 * time.Second
)

// NewFinder makes a Finder that asks drivers in their order. It looks at the
// bus when Find is first called.
func NewFinder(cfg Config, log *slog.Logger, drivers ...Driver) *Finder {
	f := &Finder{
		bus: NewBus(time.Duration(cfg.SettleMS)*time.Millisecond, log), drivers: drivers, log: log,
		known: make(map[place]*machine), asking: make(map[place]bool),
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close ends the work with the bus. All scanners must have been closed before.
func (f *Finder) Close() error {
	f.cancel()
	f.work.Wait()
	return f.bus.Close()
}

// Find lists the machines that are here now. Each is asked who it is once, when
// it is first seen; after that only libusb's list is read. One that is slow to
// answer is left to it: it is listed by a later call, and the others by this one.
func (f *Finder) Find(ctx context.Context) ([]device.Found, error) {
	devices, err := f.bus.Devices()
	if err != nil {
		return nil, err
	}
	var begun sync.WaitGroup
	f.mu.Lock()
	f.forget(devices)
	for _, d := range devices {
		at := placeOf(d)
		m := f.known[at]
		if f.asking[at] || m != nil && (m.refused == 0 || time.Now().Before(m.again)) {
			continue
		}
		f.asking[at] = true
		begun.Add(1)
		f.work.Go(func() {
			defer begun.Done()
			f.learn(d, m)
		})
	}
	f.mu.Unlock()
	answered := make(chan struct{})
	f.work.Go(func() {
		begun.Wait()
		close(answered)
	})
	t := time.NewTimer(askPatience)
	defer t.Stop()
	select {
	case <-answered:
	case <-t.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list(devices), nil
}

// forget drops what is no longer on the bus; f.mu is held.
func (f *Finder) forget(devices []Desc) {
	here := make(map[place]bool)
	for _, d := range devices {
		here[placeOf(d)] = true
	}
	maps.DeleteFunc(f.known, func(at place, _ *machine) bool { return !here[at] })
}

// list gives those of the devices that are known to be scanners; f.mu is held. Of
// two with one serial number, the second is told apart by its port.
func (f *Finder) list(devices []Desc) []device.Found {
	taken := make(map[string]bool)
	for _, m := range f.known {
		if m.named {
			taken[m.info.ID] = true
		}
	}
	var found []device.Found
	for _, d := range devices { // by port, so that it is the same after a restart
		m := f.known[placeOf(d)]
		if m == nil || m.driver == nil {
			continue
		}
		if !m.named {
			if taken[m.info.ID] {
				m.info.ID += "-" + Slug(d.Port)
			}
			m.named = true
			taken[m.info.ID] = true
		}
		info, driver := m.info, m.driver
		found = append(found, device.Found{Info: info, Open: func(ctx context.Context) (device.Scanner, error) {
			return driver.Open(ctx, f.bus, d, info)
		}})
	}
	return found
}

// learn asks d what it is and keeps the answer. before is that of the last time,
// if it gave none.
func (f *Finder) learn(d Desc, before *machine) {
	tries := 0
	if before != nil {
		tries = before.refused
	}
	m := f.ask(f.ctx, d, tries > 0)
	if m.refused > 0 {
		m.refused += tries
		m.again = time.Now().Add(min(firstRetry<<min(tries, 10), lastRetry))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[placeOf(d)] = m
	delete(f.asking, placeOf(d))
}

// Drives says whether the machine with that bus number and address has a driver
// here, or is just being asked, so that nobody else needs to look at it.
func (f *Finder) Drives(bus, address int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for at := range f.asking {
		if at.bus == bus && at.address == address {
			return true
		}
	}
	for at, m := range f.known {
		if at.bus == bus && at.address == address && m.driver != nil {
			return true
		}
	}
	return false
}

// ask learns what the machine is and who drives it. Only machines that may be
// somebody's are opened, to be asked for their strings. A failure is logged
// once for as long as it goes on.
func (f *Finder) ask(ctx context.Context, d Desc, before bool) *machine {
	var s Strings
	asked := false
	for _, driver := range f.drivers {
		if !driver.Match(d) {
			continue
		}
		if !asked {
			var err error
			if s, err = f.bus.Strings(ctx, d); err != nil {
				if !before && ctx.Err() == nil {
					f.log.Warn("USB device does not say what it is", "device", d.Port, "err", err)
				}
				return &machine{refused: 1}
			}
			asked = true
		}
		info, ok := driver.Know(d, s)
		if !ok {
			continue
		}
		if n, ok := driver.(Namer); ok && s.Serial == "" {
			// Without one, a machine that is plugged in elsewhere is another machine.
			actx, stop := context.WithTimeout(ctx, serialTimeout)
			serial, err := n.Serial(actx, f.bus, d)
			stop()
			if err != nil && f.ctx.Err() == nil {
				f.log.Info("scanner does not tell its serial number; it is known by its port", "device", d.Port, "err", err)
			}
			s.Serial = serial
		}
		info.ID, info.Serial, info.Port = ID(s, d), s.Serial, d.Port
		return &machine{info: info, driver: driver}
	}
	if asked {
		f.log.Info("USB device has no scanner for us", "device", d.Port, "make", s.Manufacturer, "model", s.Model)
	}
	return &machine{}
}
