// Package usb reaches scanners over libusb. It is the only importer of gousb,
// whose traps stay inside: it panics on a machine without USB and on devices
// whose interface numbers have a gap.
//
// A [Bus] lists what is attached without opening it. A [Device] is one opened
// machine with some of its interfaces claimed, each a [Pipe] of two bulk
// endpoints. What the bytes mean is the business of the packages that import
// this one.
package usb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/gousb"

	"docscan/device"
)

// ErrAccess is in the chain of an error that says that the daemon's user may
// not open a device.
var ErrAccess = errors.New("no right to use this USB device")

// errStall says that an endpoint is halted or that a request was refused.
var errStall = errors.New("the device refused the transfer (stall)")

// Bus is the machine's USB. Its methods may be called from any goroutine.
type Bus struct {
	settle time.Duration
	log    *slog.Logger

	mu     sync.Mutex
	ctx    *library // nil while there is no USB here
	closed bool
	told   bool // that there is no USB here was logged
}

// NewBus makes a Bus. A machine without USB is one where nothing is found.
// settle is the pause between taking a device from the kernel and using it;
// some machines need a quarter of a second.
func NewBus(settle time.Duration, log *slog.Logger) *Bus {
	return &Bus{settle: settle, log: log}
}

// Close ends the work with libusb. All devices must have been closed before.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.ctx == nil {
		return nil
	}
	if err := b.ctx.Close(); err != nil {
		return fmt.Errorf("close libusb: %w", err)
	}
	b.ctx = nil
	return nil
}

// context gives the libusb context, or nil on a machine without USB. There it
// tries again each time: a controller may come later.
func (b *Bus) context() (*library, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.New("the USB bus has been closed")
	}
	if b.ctx != nil {
		return b.ctx, nil
	}
	ctx, err := newLibrary()
	if err != nil {
		if !b.told {
			b.log.Info("no USB on this machine", "err", err)
			b.told = true
		}
		return nil, nil
	}
	b.ctx = ctx
	return ctx, nil
}

// Desc is what can be told of a device without opening it.
type Desc struct {
	Vendor, Product uint16
	Bus, Address    int    // where it is until it is unplugged
	Port            string // where it is for good, such as "usb:1-2.3"
	Settings        []Setting
}

// Setting is one alternate setting of one interface that has a bulk endpoint
// in each direction.
type Setting struct {
	Config, Interface, Alternate int
	Class, SubClass, Protocol    uint8
	In, Out                      int // endpoint numbers
	Packet                       int // size of a packet to the device, in bytes
}

// Is says whether s is of the given class.
func (s Setting) Is(class, subClass, protocol uint8) bool {
	return s.Class == class && s.SubClass == subClass && s.Protocol == protocol
}

// Devices lists what is attached, by port. Hubs are left out, and so is a
// device whose descriptors libusb cannot read.
func (b *Bus) Devices() ([]Desc, error) {
	ctx, err := b.context()
	if ctx == nil || err != nil {
		return nil, err
	}
	var list []Desc
	// The error is of the last device that could not be read, which need not
	// be one that matters; a bus that cannot be read at all has no devices.
	_, err = openDevices(ctx.Context, func(d *gousb.DeviceDesc) bool {
		if d.Class != gousb.ClassHub {
			list = append(list, describe(d))
		}
		return false
	})
	if err != nil && len(list) == 0 {
		return nil, fmt.Errorf("list the USB devices: %w", err)
	}
	slices.SortFunc(list, func(x, y Desc) int { return strings.Compare(x.Port, y.Port) })
	return list, nil
}

// openDevices is gousb's method without its panic, which a device behind more
// than seven hubs causes.
func openDevices(ctx *gousb.Context, want func(*gousb.DeviceDesc) bool) (devs []*gousb.Device, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("a device with descriptors that gousb cannot read: %v", v)
		}
	}()
	return ctx.OpenDevices(want)
}

// describe keeps of d what we use.
func describe(d *gousb.DeviceDesc) Desc {
	desc := Desc{
		Vendor: uint16(d.Vendor), Product: uint16(d.Product),
		Bus: d.Bus, Address: d.Address, Port: port(d.Bus, d.Path),
	}
	for _, number := range sortedKeys(d.Configs) {
		for _, i := range d.Configs[number].Interfaces {
			for _, alt := range i.AltSettings {
				in, out, packet := bulkPair(alt)
				if in == 0 || out == 0 {
					continue
				}
				desc.Settings = append(desc.Settings, Setting{
					Config: number, Interface: alt.Number, Alternate: alt.Alternate,
					Class: uint8(alt.Class), SubClass: uint8(alt.SubClass), Protocol: uint8(alt.Protocol),
					In: in, Out: out, Packet: packet,
				})
			}
		}
	}
	return desc
}

// bulkPair gives the numbers of the first bulk endpoint in each direction, or
// 0 where there is none; number 0 is the control endpoint. packet is the size of
// a packet to the device.
func bulkPair(s gousb.InterfaceSetting) (in, out, packet int) {
	for _, address := range sortedKeys(s.Endpoints) {
		e := s.Endpoints[address]
		switch {
		case e.TransferType != gousb.TransferTypeBulk:
		case e.Direction == gousb.EndpointDirectionIn && in == 0:
			in = e.Number
		case e.Direction == gousb.EndpointDirectionOut && out == 0:
			out, packet = e.Number, e.MaxPacketSize
		}
	}
	return in, out, packet
}

// port names a place on the bus as Linux does.
func port(bus int, path []int) string {
	if len(path) == 0 {
		return fmt.Sprintf("usb:%d", bus)
	}
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = fmt.Sprint(p)
	}
	return fmt.Sprintf("usb:%d-%s", bus, strings.Join(parts, "."))
}

// open opens the device that d describes.
func (b *Bus) open(d Desc) (*gousb.Device, error) {
	ctx, err := b.context()
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, device.Faultf(device.Unplugged, "%s: no USB on this machine", d.Port)
	}
	devs, err := openDevices(ctx.Context, func(o *gousb.DeviceDesc) bool {
		return o.Bus == d.Bus && o.Address == d.Address &&
			uint16(o.Vendor) == d.Vendor && uint16(o.Product) == d.Product
	})
	if len(devs) == 0 {
		if err == nil {
			err = gousb.ErrorNoDevice
		}
		return nil, explain(d, "open", err)
	}
	return devs[0], nil
}

// explain says what an error of libusb means for a person. gousb turns some
// errors into text, so that is what is looked at.
func explain(d Desc, what string, err error) error {
	says := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(e error) bool {
			return errors.Is(err, e) || strings.Contains(err.Error(), e.Error())
		})
	}
	switch {
	case says(context.Canceled, context.DeadlineExceeded):
		return err
	case says(gousb.ErrorNoDevice, gousb.TransferNoDevice, gousb.ErrorNotFound):
		return &device.Fault{Kind: device.Unplugged, Detail: what + " " + d.Port, Err: err}
	case says(gousb.ErrorBusy):
		return &device.Fault{
			Kind:   device.HeldByOther,
			Detail: fmt.Sprintf("%s %s: another program holds it, such as ipp-usb (stop it: systemctl mask --now ipp-usb) or the kernel's usblp", what, d.Port),
			Err:    err,
		}
	case says(gousb.ErrorAccess):
		return &device.Fault{
			Kind: device.NoRights,
			Detail: fmt.Sprintf("%s %s: /dev/bus/usb/%03d/%03d must be writable for the user of docscand; install docscan's udev rule and replug the device, or add the user to the group that owns the file",
				what, d.Port, d.Bus, d.Address),
			Err: fmt.Errorf("%w: %w", ErrAccess, err),
		}
	case says(gousb.TransferStall, gousb.ErrorPipe):
		return fmt.Errorf("%s %s: %w: %w", what, d.Port, errStall, err)
	}
	return fmt.Errorf("%s %s: %w", what, d.Port, err)
}

// pause waits for d, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
