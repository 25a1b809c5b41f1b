// Package uevent hears from the kernel when a USB device comes or goes.
//
// The kernel says so on a netlink socket that every user may read. [Watch]
// listens there and passes on a burst of messages as one [News]. It says only
// that it is worth looking now; whoever is told looks at the bus itself. A box
// where the socket is not permitted is no worse off than one without this
// package: the bus is then looked at by the clock alone.
package uevent

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Action says what happened to a device.
type Action string

// The actions that change what is on the bus. The kernel knows more.
const (
	Add    Action = "add"
	Remove Action = "remove"
)

// Event is one USB device that came or went.
type Event struct {
	Action  Action
	Path    string // below /sys, such as "/devices/pci0000:00/0000:00:14.0/usb1/1-2"
	Bus     int    // 1 and up, as in /dev/bus/usb/001; 0 if the kernel did not say
	Address int    // 1 to 127, as in /dev/bus/usb/001/005; 0 if the kernel did not say
}

// Port is the device's port path, such as "usb:1-2.3", as device/usb names it.
// It is empty for what is no port, such as a root hub.
func (e Event) Port() string {
	name := e.Path[strings.LastIndexByte(e.Path, '/')+1:]
	bus, rest, ok := strings.Cut(name, "-")
	if !ok || bus == "" || rest == "" || strings.Trim(bus, "0123456789") != "" || strings.Trim(rest, "0123456789.") != "" {
		return ""
	}
	return "usb:" + name
}

// maxMessage bounds one message. The kernel builds it in a buffer of 2048
// bytes (UEVENT_BUFFER_SIZE in linux/kobject.h) behind a header of action and
// path, whose path is at most 4096 bytes.
const maxMessage = 8 << 10

var (
	errNoMessage = errors.New("no message of the kernel")
	errNotUSB    = errors.New("not about a USB device that came or went")
)

// parse reads one message: "add@/devices/..." and then KEY=value pairs, each
// ended by a zero byte. What is not about a whole USB device that came or went
// is errNotUSB; interfaces, which come with their device, are not.
func parse(b []byte) (Event, error) {
	if len(b) > maxMessage {
		return Event{}, errNoMessage
	}
	header, rest, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return Event{}, errNoMessage
	}
	action, path, ok := strings.Cut(string(header), "@")
	if !ok || !strings.HasPrefix(path, "/") {
		return Event{}, errNoMessage // udev's own messages begin with "libudev"
	}
	e := Event{Action: Action(action), Path: path}
	if e.Action != Add && e.Action != Remove {
		return Event{}, errNotUSB
	}
	var subsystem, devtype string
	for field := range bytes.SplitSeq(rest, []byte{0}) {
		key, value, _ := strings.Cut(string(field), "=")
		switch key {
		case "SUBSYSTEM":
			subsystem = value
		case "DEVTYPE":
			devtype = value
		case "BUSNUM":
			e.Bus = number(value)
		case "DEVNUM":
			e.Address = number(value)
		}
	}
	if subsystem != "usb" || devtype != "usb_device" {
		return Event{}, errNotUSB
	}
	return e, nil
}

// number reads "007" and the like; what is no number from 1 to 9999 is 0.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 9999 {
		return 0
	}
	return n
}
