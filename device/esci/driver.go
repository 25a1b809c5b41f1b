package esci

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/usb"
)

// vendorEpson is Seiko Epson on USB.
const vendorEpson = 0x04b8

// products are the ids of the machines that speak ESC/I-2, by Debian's list of
// scanners: the DS, ES, FF and RR series, and two series of large machines that
// print too. The flatbeds among their neighbours speak the older ESC/I.
func products() []uint16 {
	return []uint16{
		0x0145, 0x0146, 0x014c, 0x014d, 0x0150, 0x0152, 0x0154, 0x0155, 0x0156, 0x0157, 0x0159, 0x015a,
		0x015c, 0x015d, 0x015e, 0x0160, 0x0162, 0x0165, 0x0166, 0x0167, 0x0169, 0x016b, 0x016c, 0x016d,
		0x016e, 0x016f, 0x0176, 0x0177, 0x017a, 0x017f, 0x0180, 0x0181, 0x0182, 0x0183, 0x0184, 0x0185,
		0x0186, 0x0187, 0x0188, 0x018b, 0x018c, 0x08bc, 0x08cc,
	}
}

// Driver knows Epson's document scanners on USB.
type Driver struct {
	temp   string
	quirks *quirks.List
	log    *slog.Logger
}

var (
	_ usb.Driver = (*Driver)(nil)
	_ usb.Namer  = (*Driver)(nil)
)

// NewDriver makes a Driver. temp is the folder for sides too large for memory;
// it should be on a disk, and empty is the system's, which often is not. Of the
// quirks Ignore, Driver and BacksTurned count here.
func NewDriver(temp string, q *quirks.List, log *slog.Logger) *Driver { return &Driver{temp, q, log} }

// Match says whether d is one of the known products and has the interface that
// they talk through.
func (v *Driver) Match(d usb.Desc) bool {
	_, ok := setting(d)
	return ok && d.Vendor == vendorEpson && slices.Contains(products(), d.Product)
}

// setting gives the interface of the vendor's own class. Machines that print have
// others beside it.
func setting(d usb.Desc) (usb.Setting, bool) {
	for _, s := range d.Settings {
		if s.Class == 0xff {
			return s, true
		}
	}
	return usb.Setting{}, false
}

// Know says what d is.
func (v *Driver) Know(d usb.Desc, s usb.Strings) (device.Info, bool) {
	info := device.Info{Make: s.Manufacturer, Model: strings.TrimSpace(strings.TrimPrefix(s.Model, s.Manufacturer+" ")), Driver: "esci"}
	if info.Make == "" {
		info.Make = "EPSON"
	}
	return info, v.Match(d) && v.quirks.Of(d.Vendor, d.Product, info.Name()).For("esci")
}

// Serial asks the machine for its serial number.
func (v *Driver) Serial(ctx context.Context, bus *usb.Bus, d usb.Desc) (string, error) {
	return usb.SerialOf(ctx, v, bus, d)
}

// Open opens the machine and the scanner behind it.
func (v *Driver) Open(ctx context.Context, bus *usb.Bus, d usb.Desc, info device.Info) (device.Scanner, error) {
	set, ok := setting(d)
	if !ok {
		return nil, device.Faultf(device.BadAnswer, "%s has no interface for this driver", d.Port)
	}
	dev, err := bus.Open(ctx, d, []usb.Setting{set})
	if err != nil {
		return nil, err
	}
	q := v.quirks.Of(d.Vendor, d.Product, info.Name())
	s, err := Open(ctx, Options{
		Pipe: dev.Pipes()[0], Close: dev.Close, Reset: dev.Reset, Info: info, Temp: v.temp, Log: v.log.With("device", info.ID),
		Ladder: dev.Ladder(), Diagnose: func() []device.Section { return append([]device.Section{q.Section()}, dev.Diagnose()...) },
		BacksTurned: q.BacksTurned,
	})
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return s, nil
}
