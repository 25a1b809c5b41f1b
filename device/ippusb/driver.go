package ippusb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"docscan/device"
	"docscan/device/usb"
)

// Open makes a scanner of a machine that rt reaches.
type Open func(ctx context.Context, rt http.RoundTripper, info device.Info) (device.Scanner, error)

// Driver knows the machines with HTTP over USB.
type Driver struct {
	cfg  Config
	open Open
	log  *slog.Logger
}

var _ usb.Driver = (*Driver)(nil)

// NewDriver makes a Driver of scanners that open knows how to drive.
func NewDriver(cfg Config, open Open, log *slog.Logger) *Driver {
	return &Driver{cfg, open, log}
}

// Match says whether d has an interface for HTTP.
func (v *Driver) Match(d usb.Desc) bool { return len(httpSettings(d)) > 0 }

// Know says what d is. One interface is not enough for a machine to be more
// than an accident of descriptors, unless its other ones are known to be of no
// use.
func (v *Driver) Know(d usb.Desc, s usb.Strings) (device.Info, bool) {
	q := quirksOf(nameOf(s))
	if q.Ignore || len(httpSettings(d)) < 2 && q.Pipes != 1 || !scans(s.Class) {
		return device.Info{}, false
	}
	return device.Info{
		Make: s.Manufacturer, Model: strings.TrimSpace(strings.TrimPrefix(s.Model, s.Manufacturer+" ")), Driver: "escl",
	}, true
}

// nameOf is what quirks are found by: make and model, the make once.
func nameOf(s usb.Strings) string {
	name := strings.TrimSpace(s.Model)
	if make := strings.TrimSpace(s.Manufacturer); !strings.HasPrefix(strings.ToLower(name), strings.ToLower(make)) {
		name = make + " " + name
	}
	return name
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

// Open opens the machine and the scanner behind it.
func (v *Driver) Open(ctx context.Context, bus *usb.Bus, d usb.Desc, info device.Info) (device.Scanner, error) {
	quirks := quirksOf(nameOf(usb.Strings{Manufacturer: info.Make, Model: info.Model}))
	n := pipes
	if quirks.Pipes > 0 {
		n = quirks.Pipes
	}
	settings := httpSettings(d)
	dev, err := bus.Open(ctx, d, settings[:min(n, len(settings))])
	if err != nil {
		return nil, err
	}
	var list []Pipe
	for _, p := range dev.Pipes() {
		list = append(list, p)
	}
	t := NewTransport(v.cfg, quirks, list, dev.Reset, dev.Close, v.log.With("device", info.ID))
	s, err := v.open(ctx, t, info)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", info.Name(), err), t.Close())
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
