package usbface

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// Layout says what the descriptors of the device say.
type Layout struct {
	Vendor, Product uint16
	Manufacturer    string
	Model           string
	Serial          string // empty: the device has no serial number
	Pairs           int    // interfaces, 1 to 4
	Gap             bool   // leave out interface number 1, as some devices do
	HP              bool   // IPP over USB is class 255/9/1 instead of 7/1/4
}

// VendorLayout is a device of one interface that only its maker's protocol
// fits.
func VendorLayout(vendor, product uint16, manufacturer, model, serial string) Layout {
	return Layout{Vendor: vendor, Product: product, Manufacturer: manufacturer, Model: model, Serial: serial, Pairs: 1}
}

// classPrinter is the printer class, of which IPP over USB is a part.
const classPrinter = 7

// ippSettings are the alternate settings of an IPP-over-USB interface: a plain
// printer until it is switched.
func (l Layout) ippSettings() [][3]byte {
	if l.HP {
		return [][3]byte{{classPrinter, 1, 2}, {255, 9, 1}}
	}
	return [][3]byte{{classPrinter, 1, 2}, {classPrinter, 1, 4}}
}

// DefaultLayout is a device such as common multifunction machines are: three
// interfaces, each a plain printer until alternate setting 1 is selected. Its
// ids are those that pid.codes keeps for tests.
func DefaultLayout() Layout {
	return Layout{
		Vendor: 0x1209, Product: 0x0001,
		Manufacturer: "docscan", Model: "Simulated Scanner", Serial: "SIM0001",
		Pairs: 3,
	}
}

func (l Layout) check() error {
	if l.Pairs < 1 || l.Pairs > 4 {
		return fmt.Errorf("%d interfaces: a simulated device has 1 to 4", l.Pairs)
	}
	for _, s := range []string{l.Manufacturer, l.Model, l.Serial} {
		if len(utf16.Encode([]rune(s))) > 126 {
			return errors.New("a USB string has at most 126 UTF-16 units")
		}
	}
	return nil
}

// number gives the number of the interface at index i.
func (l Layout) number(i int) int {
	if l.Gap && i > 0 {
		return i + 1
	}
	return i
}

// endpoints gives the endpoint addresses of the interface at index i. They
// differ in number so that a mix-up of directions is noticed.
func (l Layout) endpoints(i int) (in, out uint8) {
	return uint8(0x82 + 2*i), uint8(0x01 + 2*i)
}

// Descriptor types of the USB 2.0 specification, table 9-5, and of the
// IPP-over-USB specification, section 4.3.
const (
	typeDevice    = 1
	typeConfig    = 2
	typeString    = 3
	typeInterface = 4
	typeEndpoint  = 5
	typeQualifier = 6
	typeBOS       = 15
	typeIPP       = 0x21
)

// Indexes of the strings.
const (
	stringLanguages = iota
	stringManufacturer
	stringModel
	stringSerial
)

// DeviceDescriptor gives the 18 bytes of the device descriptor.
func (d *Device) DeviceDescriptor() []byte {
	serial := byte(stringSerial)
	if d.layout.Serial == "" {
		serial = 0
	}
	b := []byte{18, typeDevice, 0x10, 0x02, 0, 0, 0, 64} // USB 2.10: there is a BOS
	b = binary.LittleEndian.AppendUint16(b, d.layout.Vendor)
	b = binary.LittleEndian.AppendUint16(b, d.layout.Product)
	return append(b, 0x00, 0x01, stringManufacturer, stringModel, serial, 1)
}

// ConfigDescriptor gives the one configuration with all that belongs to it.
func (d *Device) ConfigDescriptor() []byte {
	var b []byte
	for n, i := range d.ifaces {
		in, out := d.layout.endpoints(n)
		for alt, class := range i.settings {
			b = append(b, 9, typeInterface, byte(i.number), byte(alt), 2, class[0], class[1], class[2], 0)
			if alt == 1 {
				b = append(b, ippDescriptor()...)
			}
			for _, ep := range []uint8{in, out} {
				b = append(b, 7, typeEndpoint, ep, 2, MaxPacket&0xff, MaxPacket>>8, 0)
			}
		}
	}
	head := []byte{9, typeConfig, 0, 0, byte(len(d.ifaces)), 1, 0, 0xc0, 1}
	binary.LittleEndian.PutUint16(head[2:], uint16(len(head)+len(b)))
	return append(head, b...)
}

// Descriptors gives what Linux shows in the sysfs file of that name.
func (d *Device) Descriptors() []byte {
	return append(d.DeviceDescriptor(), d.ConfigDescriptor()...)
}

// ippDescriptor says that the device prints not, but scans, and takes any
// HTTP.
func ippDescriptor() []byte {
	return []byte{10, typeIPP, 0x00, 0x01, 0, 0, 0x12, 0x00, 0, 0}
}

// bosDescriptor says that the device knows USB 2.0 link power management.
func bosDescriptor() []byte {
	return []byte{5, typeBOS, 12, 0, 1, 7, 16, 2, 2, 0, 0, 0}
}

// qualifierDescriptor says how the device would be at full speed.
func qualifierDescriptor() []byte {
	return []byte{10, typeQualifier, 0x10, 0x02, 0, 0, 0, 64, 1, 0}
}

// stringDescriptor gives a string, or nil if there is none of that index.
func (d *Device) stringDescriptor(index byte) []byte {
	var s string
	switch {
	case index == stringLanguages:
		return []byte{4, typeString, 0x09, 0x04} // English (United States)
	case index == stringManufacturer:
		s = d.layout.Manufacturer
	case index == stringModel:
		s = d.layout.Model
	case index == stringSerial && d.layout.Serial != "":
		s = d.layout.Serial
	default:
		return nil
	}
	u := utf16.Encode([]rune(s))
	b := []byte{byte(2 + 2*len(u)), typeString}
	for _, c := range u {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}
