package fujitsu

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

// Vendors on USB.
const (
	vendorFujitsu = 0x04c5
	vendorRicoh   = 0x05ca
)

// products are the ids of the machines that speak this protocol, as users have
// reported them to SANE: fi series, S500 to S1500, iX series, N7100, SP30.
func products(vendor uint16) []uint16 {
	switch vendor {
	case vendorFujitsu:
		return []uint16{
			0x1041, 0x1042, 0x1078, 0x1095, 0x1096, 0x1097, 0x10ad, 0x10ae, 0x10af, 0x10cf, 0x10e0, 0x10e1,
			0x10e2, 0x10e6, 0x10e7, 0x10f2, 0x10fe, 0x1135, 0x114a, 0x114d, 0x114e, 0x114f, 0x1150, 0x1155,
			0x116f, 0x1174, 0x1175, 0x1176, 0x1177, 0x1178, 0x119d, 0x119e, 0x11a2, 0x11f1, 0x11f2, 0x11f3,
			0x11f4, 0x11fc, 0x1213, 0x128e, 0x132b, 0x132c, 0x132d, 0x132e, 0x132f, 0x13f3, 0x13f4, 0x140a,
			0x145f, 0x1460, 0x1461, 0x1462, 0x1463, 0x1464, 0x146b, 0x146c, 0x146d, 0x146e, 0x146f, 0x14ac,
			0x14b8, 0x14bd, 0x14be, 0x14df, 0x14e0, 0x14e1, 0x14e2, 0x14e3, 0x14e4, 0x14e5, 0x14e6, 0x14e7,
			0x14e8, 0x151e, 0x151f, 0x1520, 0x1521, 0x1522, 0x1575, 0x159f, 0x15fc, 0x15fd, 0x15fe, 0x15ff,
			0x1600, 0x1601, 0x1602, 0x160a, 0x160b, 0x162c, 0x162d, 0x162e, 0x1630, 0x1632,
		}
	case vendorRicoh:
		return []uint16{0x0307, 0x0308, 0x03c8, 0x03e3} // fi-8040, fi-70F, iX110, iX2400
	}
	return nil
}

// Driver knows the machines of the fi and ScanSnap series on USB.
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
// quirks only Ignore and Driver count here.
func NewDriver(temp string, q *quirks.List, log *slog.Logger) *Driver { return &Driver{temp, q, log} }

// Match says whether d is one of the known products and has the interface that
// they talk through.
func (v *Driver) Match(d usb.Desc) bool {
	_, ok := setting(d)
	return ok && slices.Contains(products(d.Vendor), d.Product)
}

// setting gives the interface of the vendor's own class, or the only one. Newer
// machines have IPP over USB beside it.
func setting(d usb.Desc) (usb.Setting, bool) {
	for _, s := range d.Settings {
		if s.Class == 0xff {
			return s, true
		}
	}
	if len(d.Settings) == 1 && d.Settings[0].Class != 7 {
		return d.Settings[0], true
	}
	return usb.Setting{}, false
}

// Know says what d is.
func (v *Driver) Know(d usb.Desc, s usb.Strings) (device.Info, bool) {
	info := device.Info{Make: s.Manufacturer, Model: strings.TrimSpace(strings.TrimPrefix(s.Model, s.Manufacturer+" ")), Driver: "fujitsu"}
	if info.Make == "" {
		info.Make = map[uint16]string{vendorFujitsu: "FUJITSU", vendorRicoh: "RICOH"}[d.Vendor]
	}
	return info, v.Match(d) && v.quirks.Of(d.Vendor, d.Product, info.Name()).For("fujitsu")
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
	})
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return s, nil
}
