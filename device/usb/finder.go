package usb

import (
	"context"
	"fmt"
	"log/slog"
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

// serialTimeout bounds that question.
const serialTimeout = 10 * time.Second

// Finder finds the machines on the bus that one of its drivers knows. The first
// driver that knows a machine has it: no machine is opened in two ways.
type Finder struct {
	bus     *Bus
	drivers []Driver
	log     *slog.Logger

	mu    sync.Mutex
	known map[place]machine
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
	info    device.Info
	driver  Driver // nil for what is no scanner of ours
	refused bool   // the last try to ask it failed, and that was logged
}

// NewFinder makes a Finder that asks drivers in their order. It looks at the
// bus when Find is first called.
func NewFinder(cfg Config, log *slog.Logger, drivers ...Driver) *Finder {
	bus := NewBus(time.Duration(cfg.SettleMS)*time.Millisecond, log)
	return &Finder{bus: bus, drivers: drivers, log: log, known: make(map[place]machine)}
}

// Close ends the work with the bus. All scanners must have been closed before.
func (f *Finder) Close() error { return f.bus.Close() }

// Find lists the machines that are here now. Each is asked who it is once, when
// it is first seen; after that only libusb's list is read.
func (f *Finder) Find(ctx context.Context) ([]device.Found, error) {
	devices, err := f.bus.Devices()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	here := make(map[place]machine) // what is known of the machines that are still here
	for _, d := range devices {
		if m, ok := f.known[placeOf(d)]; ok {
			here[placeOf(d)] = m
		}
	}
	var found []device.Found
	for _, d := range devices {
		m, ok := here[placeOf(d)]
		if !ok || m.refused {
			m = f.ask(ctx, d, m.refused)
			for _, other := range here {
				if m.driver != nil && other.info.ID == m.info.ID { // two machines with one serial number
					m.info.ID += "-" + Slug(d.Port)
					break
				}
			}
			here[placeOf(d)] = m
		}
		if m.driver == nil {
			continue
		}
		found = append(found, device.Found{Info: m.info, Open: func(ctx context.Context) (device.Scanner, error) {
			return m.driver.Open(ctx, f.bus, d, m.info)
		}})
	}
	f.known = here
	return found, nil
}

// Drives says whether the machine with that bus number and address has a driver
// here, so that nobody else needs to look at it.
func (f *Finder) Drives(bus, address int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
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
func (f *Finder) ask(ctx context.Context, d Desc, before bool) machine {
	var s Strings
	asked := false
	for _, driver := range f.drivers {
		if !driver.Match(d) {
			continue
		}
		if !asked {
			var err error
			if s, err = f.bus.Strings(d); err != nil {
				if !before {
					f.log.Warn("USB device does not say what it is", "device", d.Port, "err", err)
				}
				return machine{refused: true}
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
			if err != nil {
				f.log.Info("scanner does not tell its serial number; it is known by its port", "device", d.Port, "err", err)
			}
			s.Serial = serial
		}
		info.ID, info.Serial, info.Port = ID(s, d), s.Serial, d.Port
		return machine{info: info, driver: driver}
	}
	if asked {
		f.log.Info("USB device has no scanner for us", "device", d.Port, "make", s.Manufacturer, "model", s.Model)
	}
	return machine{}
}
