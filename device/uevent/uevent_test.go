package uevent

import (
	"errors"
	"strings"
	"testing"
)

// message makes what the kernel sends, from its lines.
func message(lines ...string) []byte { return []byte(strings.Join(lines, "\x00") + "\x00") }

// plugged is what a 6.1 kernel says when a scanner is plugged in.
func plugged(action, path, bus, address string) []byte {
	return message(action+"@"+path, "ACTION="+action, "DEVPATH="+path, "SUBSYSTEM=usb", "MAJOR=189", "MINOR=4",
		"DEVNAME=bus/usb/"+bus+"/"+address, "DEVTYPE=usb_device", "PRODUCT=4c5/132e/200", "TYPE=0/0/0",
		"BUSNUM="+bus, "DEVNUM="+address, "SEQNUM=3141")
}

func TestParse(t *testing.T) {
	const path = "/devices/pci0000:00/0000:00:14.0/usb1/1-2/1-2.3"
	tests := []struct {
		name string
		b    []byte
		want Event
		err  error
	}{
		{"added", plugged("add", path, "001", "005"), Event{Add, path, 1, 5}, nil},
		{"removed", plugged("remove", path, "001", "127"), Event{Remove, path, 1, 127}, nil},
		{"numbers missing", message("remove@"+path, "SUBSYSTEM=usb", "DEVTYPE=usb_device"), Event{Remove, path, 0, 0}, nil},
		{"numbers absurd", message("add@"+path, "SUBSYSTEM=usb", "DEVTYPE=usb_device", "BUSNUM=-1", "DEVNUM=99999999999999999999"), Event{Add, path, 0, 0}, nil},
		{"driver bound", plugged("bind", path, "001", "005"), Event{}, errNotUSB},
		{"interface", message("add@"+path+":1.0", "SUBSYSTEM=usb", "DEVTYPE=usb_interface"), Event{}, errNotUSB},
		{"disk", message("add@/devices/virtual/block/loop0", "SUBSYSTEM=block", "DEVTYPE=disk"), Event{}, errNotUSB},
		{"udev", append([]byte("libudev\x00\xfe\xed\xca\xfe"), plugged("add", path, "001", "005")...), Event{}, errNoMessage},
		{"no end", []byte("add@/devices/usb1"), Event{}, errNoMessage},
		{"empty", nil, Event{}, errNoMessage},
		{"too long", message("add@/" + strings.Repeat("x", maxMessage)), Event{}, errNoMessage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parse(tt.b)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("parse(%q) = %+v, %v, want %+v, %v", tt.b, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestPort(t *testing.T) {
	tests := []struct{ path, want string }{
		{"/devices/pci0000:00/0000:00:14.0/usb1/1-2", "usb:1-2"},
		{"/devices/platform/vhci_hcd.0/usb3/3-1/3-1.4.2", "usb:3-1.4.2"},
		{"/devices/pci0000:00/0000:00:14.0/usb1", ""},
		{"/devices/usb1/1-", ""},
		{"/devices/x-1", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := (Event{Path: tt.path}).Port(); got != tt.want {
			t.Errorf("Port of %q = %q, want %q", tt.path, got, tt.want)
		}
	}
}

// On a box where the check of the sender failed us, any bytes could arrive.
func FuzzParse(f *testing.F) {
	f.Add(plugged("add", "/devices/usb1/1-2", "001", "005"))
	f.Add(plugged("remove", "/devices/usb1/1-2", "001", "005"))
	f.Add([]byte("libudev\x00\xfe\xed\xca\xfe"))
	f.Add([]byte("add@/\x00SUBSYSTEM=usb\x00DEVTYPE=usb_device\x00BUSNUM=9999\x00DEVNUM=0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parse(b)
		if err != nil {
			if e != (Event{}) {
				t.Errorf("parse(%q) = %+v with error %v, want nothing", b, e, err)
			}
			return
		}
		if e.Action != Add && e.Action != Remove || !strings.HasPrefix(e.Path, "/") || e.Bus < 0 || e.Bus > 9999 || e.Address < 0 || e.Address > 9999 {
			t.Errorf("parse(%q) = %+v: out of range", b, e)
		}
		if p := e.Port(); p != "" && !strings.HasPrefix(p, "usb:") {
			t.Errorf("Port of %q = %q", e.Path, p)
		}
	})
}
