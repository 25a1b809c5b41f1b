package main

/*
#cgo pkg-config: umockdev-1.0
#include <stdlib.h>
#include <umockdev.h>

extern gboolean mockbusIoctl(UMockdevIoctlBase *handler, UMockdevIoctlClient *client, guintptr bus);

static void connect_ioctl(UMockdevIoctlBase *handler, guintptr bus) {
	g_signal_connect(handler, "handle-ioctl", G_CALLBACK(mockbusIoctl), (gpointer)bus);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/cgo"
	"sync"
	"unsafe"

	"docscan/device/sim/usbface"
)

// hub is the name of the root hub below /sys/devices, as one controller has it.
const hub = "pci0000:00/0000:00:14.0/usb1"

// maxAddress is the highest that a bus gives; then it begins again.
const maxAddress = 127

// hubDescriptors are those of a Linux root hub at high speed.
var hubDescriptors = []byte{
	18, 1, 0x00, 0x02, 9, 0, 1, 64, 0x6b, 0x1d, 0x02, 0x00, 0x01, 0x06, 0, 0, 0, 1,
	9, 2, 25, 0, 1, 1, 0, 0xe0, 0,
	9, 4, 0, 0, 1, 9, 0, 0, 0,
	7, 5, 0x81, 3, 4, 0, 12,
}

// bus is a testbed with a root hub and at most one device, on one port of it. A
// second one, for another port, shares the testbed.
type bus struct {
	bed     *C.UMockdevTestbed
	number  int    // of the port
	root    string // what stands for / where the child looks for /sys and /dev
	hubPath string
	handle  cgo.Handle // of this bus, for C

	// Of the device that is here. Only the main goroutine changes them.
	address int // on the bus; 1 is the hub
	syspath string
	port    *port

	mu      sync.Mutex
	clients map[*C.UMockdevIoctlClient]*client // open files, of devices that have gone too
}

// newBus makes a bus with nothing on it but its hub.
func newBus() (*bus, error) {
	b := &bus{number: 1, address: 1, clients: make(map[*C.UMockdevIoctlClient]*client)}
	b.bed = C.umockdev_testbed_new()
	b.root = take(C.umockdev_testbed_get_root_dir(b.bed))
	b.handle = cgo.NewHandle(b)
	// libusb never opens a hub, but lsusb tries.
	if err := os.MkdirAll(filepath.Dir(b.node()), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of device nodes: %w", err)
	}
	if err := os.WriteFile(b.node(), nil, 0o644); err != nil {
		return nil, fmt.Errorf("make the hub's device node: %w", err)
	}
	b.hubPath = b.add(hub, "", hubDescriptors)
	return b, nil
}

// second is the same bus as its second port has it.
func (b *bus) second() *bus {
	s := &bus{bed: b.bed, root: b.root, hubPath: b.hubPath, number: 2, address: maxAddress / 2, clients: make(map[*C.UMockdevIoctlClient]*client)}
	s.handle = cgo.NewHandle(s)
	return s
}

// close takes everything away, the folder of the testbed too.
func (b *bus) close() {
	b.unplug()
	C.g_object_unref(C.gpointer(b.bed))
	b.handle.Delete()
}

// devnode is the name of the device node as the child sees it.
func (b *bus) devnode() string { return fmt.Sprintf("/dev/bus/usb/001/%03d", b.address) }

// node is the name of the device node as this process sees it.
func (b *bus) node() string { return filepath.Join(b.root, b.devnode()) }

// plug attaches d under the next address and announces it.
func (b *bus) plug(d *usbface.Device) error {
	if b.address++; b.address > maxAddress {
		b.address = 2 // 1 is the hub
	}
	bell, err := newDoorbell(b.node())
	if err != nil {
		return err
	}
	b.port = newPort(d, bell)

	handler := C.umockdev_ioctl_base_new()
	defer C.g_object_unref(C.gpointer(handler)) // the testbed keeps it
	C.connect_ioctl(handler, C.guintptr(b.handle))
	devnode := C.CString(b.devnode())
	defer C.free(unsafe.Pointer(devnode))
	var gerr *C.GError
	if C.umockdev_testbed_attach_ioctl(b.bed, devnode, handler, &gerr) == 0 {
		return fmt.Errorf("attach to %s: %w", b.devnode(), takeError(gerr))
	}
	b.syspath = b.add(fmt.Sprintf("1-%d", b.number), b.hubPath, d.Descriptors())
	return nil
}

// unplug takes the device off the bus, if there is one, and announces that.
func (b *bus) unplug() {
	if b.port == nil {
		return
	}
	b.port.dev.Unplug() // first, as the kernel ends all transfers first
	syspath, action, devnode := C.CString(b.syspath), C.CString("remove"), C.CString(b.devnode())
	defer C.free(unsafe.Pointer(syspath))
	defer C.free(unsafe.Pointer(action))
	defer C.free(unsafe.Pointer(devnode))
	C.umockdev_testbed_uevent(b.bed, syspath, action)
	C.umockdev_testbed_remove_device(b.bed, syspath)
	C.umockdev_testbed_detach_ioctl(b.bed, devnode, nil)
	b.port.close()
	b.port = nil
}

// gone is closed when the device that is here has vanished of its own accord.
func (b *bus) gone() <-chan struct{} {
	if b.port == nil {
		return nil
	}
	return b.port.dev.Gone()
}

// add puts a device with the present address into sysfs, announces it and
// gives its path there.
func (b *bus) add(name, parent string, descriptors []byte) string {
	id := func(off int) string { return fmt.Sprintf("%02x%02x", descriptors[off+1], descriptors[off]) }
	minor := fmt.Sprint(b.address - 1)
	attributes := strv(
		"busnum", "1\n",
		"devnum", fmt.Sprintf("%d\n", b.address),
		"dev", "189:"+minor+"\n",
		"speed", "480\n",
		"bConfigurationValue", "1\n",
		"bNumConfigurations", "1\n",
		"idVendor", id(8)+"\n",
		"idProduct", id(10)+"\n",
	)
	properties := strv(
		"DEVTYPE", "usb_device",
		"DEVNAME", b.devnode(),
		"MAJOR", "189",
		"MINOR", minor,
		"BUSNUM", "001",
		"DEVNUM", fmt.Sprintf("%03d", b.address),
		"PRODUCT", id(8)+"/"+id(10)+"/100",
	)
	defer C.g_strfreev(attributes)
	defer C.g_strfreev(properties)

	// The descriptors have NUL bytes, so they cannot come with the other
	// attributes, and libusb wants them when the device is announced.
	path := filepath.Join("/sys/devices", name)
	var cparent *C.char
	if parent != "" {
		path = filepath.Join(parent, name)
		cparent = C.CString(parent)
		defer C.free(unsafe.Pointer(cparent))
	}
	dir := filepath.Join(b.root, path)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "descriptors"), descriptors, 0o644)); err != nil {
		panic(err) // the folder is ours and was made a moment ago
	}
	cname, subsystem := C.CString(name), C.CString("usb")
	defer C.free(unsafe.Pointer(cname))
	defer C.free(unsafe.Pointer(subsystem))
	return take(C.umockdev_testbed_add_devicev(b.bed, subsystem, cname, cparent, attributes, properties))
}

// strv makes a list of strings for C; g_strfreev frees it.
func strv(list ...string) **C.gchar {
	p := (**C.gchar)(C.g_malloc0(C.gsize(uintptr(len(list)+1) * unsafe.Sizeof(uintptr(0)))))
	out := unsafe.Slice(p, len(list))
	for i, s := range list {
		out[i] = C.CString(s)
	}
	return p
}

// take copies a string of GLib's and frees it.
func take(s *C.gchar) string {
	defer C.g_free(C.gpointer(s))
	return C.GoString(s)
}

// takeError makes a Go error of GLib's and frees that.
func takeError(e *C.GError) error {
	if e == nil {
		return errors.New("unknown error")
	}
	defer C.g_error_free(e)
	return errors.New(C.GoString(e.message))
}
