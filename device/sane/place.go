package sane

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"docscan/device/usb"
)

// usbDevice is what the kernel says of a device on USB, without anybody opening
// it.
type usbDevice struct {
	bus, address int
	desc         usb.Desc // ids and port
	said         usb.Strings
}

// same says whether the device has been there without a break.
func (d *usbDevice) same(o *usbDevice) bool {
	return d.bus == o.bus && d.address == o.address && d.desc.Vendor == o.desc.Vendor && d.desc.Product == o.desc.Product
}

// sysDevices is where the kernel lists what is on USB, below the root of sysfs.
const sysDevices = "bus/usb/devices"

// usbDevices lists what is on USB, by the sysfs below root. Without USB there is
// nothing.
func usbDevices(root string) []usbDevice {
	dirs, err := filepath.Glob(filepath.Join(root, sysDevices, "*-*"))
	if err != nil {
		return nil // only of a malformed pattern
	}
	var list []usbDevice
	for _, dir := range dirs {
		if d, ok := readDevice(dir); ok {
			list = append(list, d)
		}
	}
	return list
}

// readDevice reads what sysfs says of one device. It is false for what is none:
// interfaces, hubs, and what has gone.
func readDevice(dir string) (usbDevice, bool) {
	name := filepath.Base(dir)
	if strings.Contains(name, ":") { // an interface
		return usbDevice{}, false
	}
	word := func(file string) string {
		b, err := os.ReadFile(filepath.Join(dir, file)) // one page of memory at most
		if err != nil {
			return "" // it has none, or has gone
		}
		return strings.TrimSpace(strings.ToValidUTF8(string(b), "?"))
	}
	number := func(file string, base int) int {
		n, err := strconv.ParseUint(word(file), base, 16)
		if err != nil {
			return 0
		}
		return int(n)
	}
	const hub = "09"
	d := usbDevice{bus: number("busnum", 10), address: number("devnum", 10)}
	if d.bus == 0 || d.address == 0 || word("bDeviceClass") == hub {
		return usbDevice{}, false
	}
	d.desc = usb.Desc{
		Vendor: uint16(number("idVendor", 16)), Product: uint16(number("idProduct", 16)),
		Bus: d.bus, Address: d.address, Port: "usb:" + name,
	}
	d.said = usb.Strings{Manufacturer: word("manufacturer"), Model: word("product"), Serial: word("serial")}
	return d, true
}

// present says whether d is still where it was.
func (d *usbDevice) present(root string) bool {
	now, ok := readDevice(filepath.Join(root, sysDevices, strings.TrimPrefix(d.desc.Port, "usb:")))
	return ok && d.same(&now)
}

// How backends put the place of a device into its name: sanei's way
// (epson2:libusb:001:004), and Brother's (brother4:bus1;dev4).
var placesInNames = []*regexp.Regexp{
	regexp.MustCompile(`libusb:(\d{1,5}):(\d{1,5})`),
	regexp.MustCompile(`bus(\d{1,5});dev(\d{1,5})`),
}

// minSerial is how long a serial number must be to tell a device by it.
const minSerial = 5

// deviceOf finds the USB device that a backend means by name; nil if the name
// does not say, as with devices on other buses.
func deviceOf(name string, devices []usbDevice) *usbDevice {
	for _, re := range placesInNames {
		m := re.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		bus, _ := strconv.Atoi(m[1]) // digits, and few
		address, _ := strconv.Atoi(m[2])
		for i := range devices {
			if devices[i].bus == bus && devices[i].address == address {
				return &devices[i]
			}
		}
		return nil
	}
	// Others have the path of its interface in sysfs (utsushi:esci:usb:/sys/...).
	for i, d := range devices {
		if port := strings.TrimPrefix(d.desc.Port, "usb:"); strings.Contains(name, "/sys/") && hasWord(name, port+":1") {
			return &devices[i]
		}
	}
	// Or the serial number (pixma:04A91736_21D59A,
	// hpaio:/usb/Model?serial=CN12345678).
	for i, d := range devices {
		if serial := d.said.Serial; len(serial) >= minSerial && hasWord(name, serial) {
			return &devices[i]
		}
	}
	return nil
}

// hasWord says whether word stands in s by itself, not as part of a longer one.
func hasWord(s, word string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if (i == 0 || !alphanumeric(s[i-1])) && (i+len(word) == len(s) || !alphanumeric(s[i+len(word)])) {
			return true
		}
		from = i + 1
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
