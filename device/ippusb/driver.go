package ippusb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/usb"
)

// Open makes a scanner of a machine that rt reaches.
type Open func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error)

// pipes is how many interfaces to use of a machine without a quirk: one for
// the scan and one for status and cancel meanwhile.
const pipes = 2

// Driver knows the machines with HTTP over USB.
type Driver struct {
	cfg    Config
	quirks *quirks.List
	open   Open
	log    *slog.Logger
}

var _ usb.Driver = (*Driver)(nil)

// NewDriver makes a Driver of scanners that open knows how to drive.
func NewDriver(cfg Config, q *quirks.List, open Open, log *slog.Logger) *Driver {
	return &Driver{cfg, q, open, log}
}

// Match says whether d has an interface for HTTP.
func (v *Driver) Match(d usb.Desc) bool { return len(httpSettings(d)) > 0 }

// Know says what d is. One interface is not enough for a machine to be more
// than an accident of descriptors, unless its other ones are known to be of no
// use.
func (v *Driver) Know(d usb.Desc, s usb.Strings) (device.Info, bool) {
	q := v.quirksOf(d, s)
	if !q.For("escl") || len(httpSettings(d)) < 2 && q.Pipes != 1 || !q.IgnoreClass && !scans(s.Class) {
		return device.Info{}, false
	}
	info := device.Info{Make: s.Manufacturer, Model: strings.TrimSpace(strings.TrimPrefix(s.Model, s.Manufacturer+" ")), Driver: "escl"}
	if q.Name != "" {
		info.Make, info.Model, _ = strings.Cut(q.Name, " ")
	}
	return info, true
}

// quirksOf gives the quirks of d, by its id and by make and model, the make once.
// A quirk may say what the machine is, and other quirks are then found by that.
func (v *Driver) quirksOf(d usb.Desc, s usb.Strings) quirks.Quirks {
	name := strings.TrimSpace(s.Model)
	if make := strings.TrimSpace(s.Manufacturer); !strings.HasPrefix(strings.ToLower(name), strings.ToLower(make)) {
		name = make + " " + name
	}
	q := v.quirks.Of(d.Vendor, d.Product, name)
	if q.Name != "" {
		q = v.quirks.Of(d.Vendor, d.Product, q.Name)
	}
	return q
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
		if slices.ContainsFunc(list, func(o usb.Setting) bool { return o.Interface == s.Interface }) {
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
	q := v.quirksOf(d, usb.Strings{Manufacturer: info.Make, Model: info.Model})
	log := v.log.With("device", info.ID)
	if text := q.Text(); text != "" {
		log.Info("quirks of this model are in force", "quirks", strings.ReplaceAll(text, "\n", ", "))
	}
	n := pipes
	if q.Pipes > 0 {
		n = q.Pipes
	}
	settings := httpSettings(d)
	dev, err := bus.Open(ctx, d, settings[:min(n, len(settings))])
	if device.KindOf(err) == device.HeldByOther {
		if port := ippusbPort(v.cfg.IPPUSBDir, d, info.Serial); port != 0 {
			return v.borrow(ctx, port, info, q)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := wake(ctx, dev, q); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", info.Name(), err), dev.Close())
	}
	var list []Pipe
	for i, p := range dev.Pipes() {
		list = append(list, odd(p, q, settings[i].Packet))
	}
	t := NewTransport(v.cfg, q, list, dev.Reset, dev.Close, dev.Ladder(), log)
	s, err := v.open(ctx, t, info, q)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", info.Name(), err), t.Close())
	}
	return &scanner{Scanner: s, transport: t, usb: dev}, nil
}

// borrow opens a scanner that ipp-usb holds, where ipp-usb serves it.
func (v *Driver) borrow(ctx context.Context, port int, info device.Info, q quirks.Quirks) (device.Scanner, error) {
	rt := loopback(port)
	s, err := v.open(ctx, rt, info, q)
	if err != nil {
		rt.CloseIdleConnections()
		return nil, &device.Fault{
			Kind:   device.HeldByOther,
			Detail: fmt.Sprintf("ipp-usb holds it, but does not serve it on its port %d", port),
			Err:    err,
		}
	}
	v.log.Info("ipp-usb holds the scanner: it is used through ipp-usb", "device", info.ID, "port", port)
	return s, nil
}

// wake does what a machine needs before its first request.
func wake(ctx context.Context, dev *usb.Device, q quirks.Quirks) error {
	switch q.Reset {
	case quirks.SoftReset:
		for _, p := range dev.Pipes() {
			if err := p.Restart(ctx); err != nil {
				return fmt.Errorf("wake: %w", err)
			}
		}
	case quirks.HardReset:
		if err := dev.Reset(ctx); err != nil {
			return fmt.Errorf("wake: %w", err)
		}
	}
	return pause(ctx, time.Duration(q.OpenDelayMS)*time.Millisecond)
}

// odd gives p the habits that a machine needs in transfers to it.
func odd(p Pipe, q quirks.Quirks, packet int) Pipe {
	if q.WriteDelayMS == 0 && !q.ZeroLengthWrite {
		return p
	}
	o := &oddPipe{Pipe: p, delay: time.Duration(q.WriteDelayMS) * time.Millisecond}
	if q.ZeroLengthWrite {
		o.packet = packet
	}
	return o
}

// oddPipe is a Pipe to a machine with quirks in what it takes.
type oddPipe struct {
	Pipe
	delay  time.Duration // after each transfer
	packet int           // bytes; 0: no empty packet is wanted
}

// Write does the transfer, the empty packet that shows its end, and the pause.
func (o *oddPipe) Write(ctx context.Context, b []byte) (int, error) {
	n, err := o.Pipe.Write(ctx, b)
	if err == nil && o.packet > 0 && n > 0 && n%o.packet == 0 {
		_, err = o.Pipe.Write(ctx, nil)
	}
	if err == nil {
		err = pause(ctx, o.delay)
	}
	return n, err
}

// scanner closes the Transport with the scanner that uses it.
type scanner struct {
	device.Scanner
	transport *Transport
	usb       *usb.Device
}

var _ device.Diagnoser = (*scanner)(nil)

// Diagnose says what the scanner says of itself, and what its USB device does.
func (s *scanner) Diagnose(ctx context.Context) []device.Section {
	var list []device.Section
	if d, ok := s.Scanner.(device.Diagnoser); ok {
		list = d.Diagnose(ctx)
	}
	return append(list, s.usb.Diagnose()...)
}

// Close gives the machine back.
func (s *scanner) Close() error {
	return errors.Join(s.Scanner.Close(), s.transport.Close())
}
