package ippusb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/usb"
)

// Open makes a scanner of a machine that rt reaches.
type Open func(ctx context.Context, rt http.RoundTripper, info device.Info) (device.Scanner, error)

// Finder finds the machines with HTTP over USB.
type Finder struct {
	cfg  Config
	bus  *usb.Bus
	open Open
	log  *slog.Logger

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

func placeOf(d usb.Desc) place {
	return place{d.Port, d.Bus, d.Address, d.Vendor, d.Product}
}

// machine is what was learnt when a machine was first seen.
type machine struct {
	info    device.Info // ID is empty for what is no scanner of ours
	quirks  Quirks
	refused bool // the last try to ask it failed, and that was logged
}

// NewFinder makes a Finder of scanners that open knows how to drive. It looks
// at the bus when Find is first called.
func NewFinder(cfg Config, open Open, log *slog.Logger) *Finder {
	bus := usb.NewBus(time.Duration(cfg.SettleMS)*time.Millisecond, log)
	return &Finder{cfg: cfg, bus: bus, open: open, log: log, known: make(map[place]machine)}
}

// Close ends the work with the bus. All scanners must have been closed before.
func (f *Finder) Close() error { return f.bus.Close() }

// Find lists the machines that are here now. Each is asked for its strings
// once, when it is first seen; after that only libusb's list is read.
func (f *Finder) Find(context.Context) ([]device.Found, error) {
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
		settings := httpSettings(d)
		if len(settings) == 0 {
			continue
		}
		m, ok := here[placeOf(d)]
		if !ok || m.refused {
			m = f.ask(d, settings, m.refused)
			for _, other := range here {
				if m.info.ID != "" && other.info.ID == m.info.ID { // two machines with one serial number
					m.info.ID += "-" + usb.Slug(d.Port)
					break
				}
			}
			here[placeOf(d)] = m
		}
		if m.info.ID == "" {
			continue
		}
		found = append(found, device.Found{Info: m.info, Open: func(ctx context.Context) (device.Scanner, error) {
			return f.openMachine(ctx, d, settings, m)
		}})
	}
	f.known = here
	return found, nil
}

// httpSettings gives the settings of d that carry HTTP, one an interface, all
// of one configuration.
func httpSettings(d usb.Desc) []usb.Setting {
	const hp = 0x03f0
	var list []usb.Setting
	for _, s := range d.Settings {
		http := s.Is(7, 1, 4) || d.Vendor == hp && s.Is(255, 9, 1)
		if !http || len(list) > 0 && list[0].Config != s.Config {
			continue
		}
		if n := len(list); n > 0 && list[n-1].Interface == s.Interface {
			continue // a second alternate setting of the same kind
		}
		list = append(list, s)
	}
	return list
}

// ask learns what the machine is. A failure is logged once for as long as it
// goes on.
func (f *Finder) ask(d usb.Desc, settings []usb.Setting, before bool) machine {
	s, err := f.bus.Strings(d)
	if err != nil {
		if !before {
			f.log.Warn("USB device does not say what it is", "device", d.Port, "err", err)
		}
		return machine{refused: true}
	}
	name := strings.TrimSpace(s.Model)
	if make := strings.TrimSpace(s.Manufacturer); !strings.HasPrefix(strings.ToLower(name), strings.ToLower(make)) {
		name = make + " " + name
	}
	q := quirksOf(name)
	// One interface is not enough for a machine to be more than an accident of
	// descriptors, unless we know that its other ones are of no use.
	if q.Ignore || len(settings) < 2 && q.Pipes != 1 || !scans(s.Class) {
		f.log.Info("USB device has no scanner for us", "device", d.Port, "model", name)
		return machine{}
	}
	info := device.Info{
		ID: usb.ID(s, d), Make: s.Manufacturer, Model: strings.TrimSpace(strings.TrimPrefix(s.Model, s.Manufacturer+" ")),
		Serial: s.Serial, Port: d.Port, Driver: "escl",
	}
	return machine{info: info, quirks: q}
}

// scans reads the class descriptor of the IPP-over-USB specification, section
// 4.3: bit 1 of the capabilities says that the machine scans, bit 4 that it
// takes any HTTP. A missing, short or empty one says nothing against it.
func scans(class []byte) bool {
	if len(class) < 10 {
		return true
	}
	const scan, anyHTTP = 1 << 1, 1 << 4
	bits := binary.LittleEndian.Uint16(class[6:])
	return bits == 0 || bits&(scan|anyHTTP) != 0
}

// openMachine opens the machine and the scanner behind it.
func (f *Finder) openMachine(ctx context.Context, d usb.Desc, settings []usb.Setting, m machine) (device.Scanner, error) {
	n := pipes
	if m.quirks.Pipes > 0 {
		n = m.quirks.Pipes
	}
	dev, err := f.bus.Open(ctx, d, settings[:min(n, len(settings))])
	if err != nil {
		return nil, err
	}
	var list []Pipe
	for _, p := range dev.Pipes() {
		list = append(list, p)
	}
	log := f.log.With("device", m.info.ID)
	t := NewTransport(f.cfg, m.quirks, list, dev.Reset, dev.Close, log)
	s, err := f.open(ctx, t, m.info)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", m.info.Name(), err), t.Close())
	}
	return &scanner{Scanner: s, transport: t}, nil
}

// scanner closes the Transport with the scanner that uses it.
type scanner struct {
	device.Scanner
	transport *Transport
}

// Close gives the machine back.
func (s *scanner) Close() error {
	return errors.Join(s.Scanner.Close(), s.transport.Close())
}
