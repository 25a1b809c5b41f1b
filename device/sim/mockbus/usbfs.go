package main

/*
#include <umockdev.h>
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime/cgo"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"docscan/device/sim/usbface"
)

// The requests of usbfs on a 64-bit machine; see linux/usbdevice_fs.h.
const (
	ioctlControl          = 0xc0185500
	ioctlBulk             = 0xc0185502
	ioctlResetEP          = 0x80045503
	ioctlSetInterface     = 0x80085504
	ioctlSetConfiguration = 0x80045505
	ioctlGetDriver        = 0x41045508
	ioctlSubmitURB        = 0x8038550a
	ioctlDiscardURB       = 0x0000550b
	ioctlReapURB          = 0x4008550c
	ioctlReapURBNoDelay   = 0x4008550d
	ioctlClaim            = 0x8004550f
	ioctlRelease          = 0x80045510
	ioctlConnectInfo      = 0x40085511
	ioctlIoctl            = 0xc0105512
	ioctlReset            = 0x00005514
	ioctlClearHalt        = 0x80045515
	ioctlDisconnect       = 0x00005516 // within ioctlIoctl
	ioctlConnect          = 0x00005517 // within ioctlIoctl
	ioctlGetCapabilities  = 0x8004551a
	ioctlDisconnectClaim  = 0x8108551b
	ioctlGetSpeed         = 0x0000551f
)

// capabilities: zero packets, bulk continuation, no limit to a packet's size,
// scatter-gather, reaping after the device has gone.
const capabilities = 0x1f

// Kinds of URBs that are served.
const (
	urbControl = 2
	urbBulk    = 3
)

// Offsets in struct usbdevfs_urb on a 64-bit machine.
const (
	urbType     = 0
	urbEndpoint = 1
	urbStatus   = 4
	urbBuffer   = 16
	urbLength   = 24
	urbActual   = 28
)

// except is the flag of ioctlDisconnectClaim that names a driver to be left
// alone.
const except = 2

// port is what the kernel knows of one attached device.
type port struct {
	dev  *usbface.Device
	bell *doorbell

	mu      sync.Mutex
	drivers map[int]string          // kernel driver by interface
	claims  map[int]*client         // program that claimed an interface
	tails   map[uint8]chan struct{} // of the last URB queued at an endpoint; closed at its end
	ready   int                     // URBs that have ended and wait to be reaped
}

// newPort is a device as it is after its arrival: the kernel's driver for
// printers has each interface that is a printer at first.
func newPort(d *usbface.Device, bell *doorbell) *port {
	p := &port{dev: d, bell: bell, drivers: make(map[int]string), claims: make(map[int]*client), tails: make(map[uint8]chan struct{})}
	for _, n := range d.Interfaces() {
		if class := d.Class(n); class[0] == 7 && class[1] == 1 {
			p.drivers[n] = "usblp"
		}
	}
	return p
}

// close ends the device.
func (p *port) close() { p.dev.Close() }

// gone says whether the device has been unplugged.
func (p *port) gone() bool {
	select {
	case <-p.dev.Gone():
		return true
	default:
		return false
	}
}

// client is one open file.
type client struct {
	port    *port
	pending []*urb // under way; guarded by port.mu
	done    []*urb // ended and not yet reaped; guarded by port.mu
}

// urb is one transfer. The C data belongs to the thread that serves ioctls;
// the goroutine of the transfer has its own copy of the bytes.
type urb struct {
	data, buffer *C.UMockdevIoctlData // buffer is nil for an empty transfer
	addr         C.gulong             // in the client's memory: what it calls the URB
	cancel       context.CancelFunc
	ended        chan struct{}
	bytes        []byte // of an IN or control transfer, valid once ended
	n            int    // bytes moved, without a setup packet
	err          error
}

// mockbusIoctl serves one ioctl. It runs in umockdev's thread, one at a time.
//
//export mockbusIoctl
func mockbusIoctl(_ *C.UMockdevIoctlBase, c *C.UMockdevIoctlClient, handle C.guintptr) C.gboolean {
	b := cgo.Handle(handle).Value().(*bus)
	b.sweep()
	b.client(c).ioctl(c)
	return 1
}

// client gives the open file that c stands for.
func (b *bus) client(c *C.UMockdevIoctlClient) *client {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.clients[c]
	if f == nil {
		C.g_object_ref(C.gpointer(c)) // sweep gives it back
		f = &client{port: b.port}
		b.clients[c] = f
	}
	return f
}

// sweep closes the files that their programs have closed. It is called before
// every ioctl: nobody can see earlier that it was not done.
func (b *bus) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c, f := range b.clients {
		if C.umockdev_ioctl_client_get_connected(c) == 0 {
			f.close()
			delete(b.clients, c)
			C.g_object_unref(C.gpointer(c))
		}
	}
}

// close does what the kernel does when a program closes the device or dies.
func (f *client) close() {
	f.port.mu.Lock()
	for n, owner := range f.port.claims {
		if owner == f {
			delete(f.port.claims, n)
		}
	}
	pending := slices.Clone(f.pending)
	f.port.mu.Unlock()
	for _, u := range pending {
		u.cancel()
		<-u.ended
	}
	for {
		u := f.reap()
		if u == nil {
			return
		}
		u.free()
	}
}

// ioctl serves one request, now or later.
func (f *client) ioctl(c *C.UMockdevIoctlClient) {
	request := uint64(C.umockdev_ioctl_client_get_request(c))
	arg := C.umockdev_ioctl_client_get_arg(c)
	value := binary.NativeEndian.Uint64(mem(arg)) // the argument itself, a pointer or a number
	data := resolve(arg, 0, int(request>>16&0x3fff))
	if data != nil {
		defer C.g_object_unref(C.gpointer(data))
	}
	switch request {
	case ioctlSubmitURB:
		reply(c, 0, f.submit(data))
	case ioctlDiscardURB:
		reply(c, 0, f.discard(C.gulong(value)))
	case ioctlReapURBNoDelay:
		reply(c, 0, f.reapInto(data))
	case ioctlReapURB, ioctlBulk, ioctlControl:
		// These may block. The C side keeps what it needs until the reply.
		C.g_object_ref(C.gpointer(c))
		if data != nil {
			C.g_object_ref(C.gpointer(data))
		}
		go func() {
			n, err := f.blocking(request, data)
			reply(c, n, err)
			if data != nil {
				C.g_object_unref(C.gpointer(data))
			}
			C.g_object_unref(C.gpointer(c))
		}()
	default:
		n, err := f.immediate(request, data)
		reply(c, n, err)
	}
}

// blocking serves the requests that wait for the device. They may run beside
// others of the same program only in other open files.
func (f *client) blocking(request uint64, data *C.UMockdevIoctlData) (int, error) {
	if request == ioctlReapURB {
		return 0, f.reapWait(data)
	}
	m := mem(data)
	ctx := context.Background()
	if ms := binary.NativeEndian.Uint32(m[8:]); ms > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
		defer cancel()
	}
	if request == ioctlControl {
		s := setup(m)
		buffer := resolve(data, 16, int(s.Length))
		if buffer != nil {
			defer C.g_object_unref(C.gpointer(buffer))
		}
		answer, err := f.port.dev.Control(s)
		if s.Type&0x80 == 0 {
			return int(s.Length), err
		}
		return copy(mem(buffer), answer), err
	}
	ep, length := uint8(m[0]), int(binary.NativeEndian.Uint32(m[4:]))
	if err := f.mayUse(ep); err != nil {
		return 0, err
	}
	buffer := resolve(data, 16, length)
	if buffer != nil {
		defer C.g_object_unref(C.gpointer(buffer))
	}
	var n int
	var err error
	if ep&0x80 != 0 {
		b := make([]byte, length)
		n, err = f.port.dev.In(ctx, ep, b)
		copy(mem(buffer), b[:n])
	} else {
		n, err = f.port.dev.Out(ctx, ep, slices.Clone(mem(buffer)))
	}
	return n, err
}

// immediate serves the requests that need no wait.
func (f *client) immediate(request uint64, data *C.UMockdevIoctlData) (int, error) {
	m := mem(data)
	number := 0
	if len(m) >= 4 {
		number = int(int32(binary.NativeEndian.Uint32(m)))
	}
	p := f.port
	if p.gone() {
		return 0, syscall.ENODEV
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch request {
	case ioctlGetCapabilities:
		binary.NativeEndian.PutUint32(m, capabilities)
		return 0, nil
	case ioctlGetSpeed:
		return 3, nil // high speed
	case ioctlConnectInfo:
		clear(m)
		return 0, nil
	case ioctlClaim:
		return 0, f.claim(number)
	case ioctlRelease:
		if p.claims[number] != f {
			return 0, syscall.EINVAL
		}
		delete(p.claims, number)
		p.dev.SetInterface(number, 0) // as the kernel does
		return 0, nil
	case ioctlSetInterface:
		if p.claims[number] != f {
			return 0, syscall.EINVAL
		}
		if !p.dev.SetInterface(number, int(binary.NativeEndian.Uint32(m[4:]))) {
			return 0, syscall.EINVAL
		}
		return 0, nil
	case ioctlSetConfiguration:
		if len(p.claims) > 0 || len(p.drivers) > 0 {
			return 0, syscall.EBUSY
		}
		_, err := p.dev.Control(usbface.Setup{Request: 9, Value: uint16(number)})
		return 0, err
	case ioctlGetDriver:
		name := p.drivers[number]
		if p.claims[number] != nil {
			name = "usbfs"
		}
		if name == "" {
			return 0, syscall.ENODATA
		}
		copy(m[4:], name+"\x00")
		return 0, nil
	case ioctlDisconnectClaim:
		name := cut(m[8:])
		if flags := binary.NativeEndian.Uint32(m[4:]); flags&except != 0 && p.claims[number] != nil && name == "usbfs" {
			return 0, syscall.EBUSY
		}
		delete(p.drivers, number)
		return 0, f.claim(number)
	case ioctlIoctl:
		return 0, f.driver(number, binary.NativeEndian.Uint32(m[4:]))
	case ioctlReset:
		p.dev.Reset()
		return 0, nil
	case ioctlClearHalt, ioctlResetEP:
		if !p.dev.ClearHalt(uint8(number)) {
			return 0, syscall.ENOENT
		}
		return 0, nil
	}
	return 0, syscall.ENOTTY
}

// driver binds or unbinds the kernel's driver. port.mu is held.
func (f *client) driver(number int, code uint32) error {
	p := f.port
	switch {
	case !slices.Contains(p.dev.Interfaces(), number):
		return syscall.EINVAL
	case code == ioctlDisconnect && p.claims[number] != nil:
		delete(p.claims, number) // usbfs is a driver like any other
	case code == ioctlDisconnect && p.drivers[number] != "":
		delete(p.drivers, number)
	case code == ioctlDisconnect:
		return syscall.ENODATA
	case code == ioctlConnect && p.claims[number] == nil:
		if class := p.dev.Class(number); class[0] == 7 && class[1] == 1 {
			p.drivers[number] = "usblp"
		}
	case code == ioctlConnect:
		return syscall.EBUSY
	default:
		return syscall.ENOTTY
	}
	return nil
}

// claim gives an interface to this open file. port.mu is held.
func (f *client) claim(number int) error {
	p := f.port
	switch {
	case !slices.Contains(p.dev.Interfaces(), number):
		return syscall.ENOENT
	case p.claims[number] != nil && p.claims[number] != f, p.drivers[number] != "":
		return syscall.EBUSY
	}
	p.claims[number] = f
	return nil
}

// mayUse says whether this open file has claimed the interface of endpoint ep.
// The kernel would only warn; a driver that does not claim is a wrong driver.
func (f *client) mayUse(ep uint8) error {
	number, ok := f.port.dev.Interface(ep)
	if !ok {
		return syscall.ENOENT
	}
	f.port.mu.Lock()
	defer f.port.mu.Unlock()
	if f.port.claims[number] != f {
		return syscall.EINVAL
	}
	return nil
}

// submit starts a transfer. Those of one endpoint run one after the other.
func (f *client) submit(data *C.UMockdevIoctlData) error {
	if f.port.gone() {
		return syscall.ENODEV
	}
	m := mem(data)
	kind, ep, length := m[urbType], m[urbEndpoint], int(int32(binary.NativeEndian.Uint32(m[urbLength:])))
	if length < 0 || length > 64<<20 {
		return syscall.ENOMEM
	}
	var transfer func(ctx context.Context, u *urb)
	switch kind {
	case urbControl:
		ep = 0
		transfer = f.control
	case urbBulk:
		if err := f.mayUse(ep); err != nil {
			return err
		}
		transfer = func(ctx context.Context, u *urb) { f.bulk(ctx, u, ep) }
	default:
		return syscall.EINVAL // the device has no other endpoints
	}
	buffer := resolve(data, urbBuffer, length)
	u := &urb{data: data, buffer: buffer, addr: data.client_addr, ended: make(chan struct{}), bytes: make([]byte, length)}
	if kind == urbControl || ep&0x80 == 0 {
		copy(u.bytes, mem(buffer))
	}
	C.g_object_ref(C.gpointer(data))
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel

	f.port.mu.Lock()
	defer f.port.mu.Unlock()
	before := f.port.tails[ep]
	f.port.tails[ep] = u.ended
	f.pending = append(f.pending, u)
	go func() {
		if before != nil {
			select {
			case <-before:
			case <-ctx.Done():
			}
		}
		transfer(ctx, u)
		f.finish(u)
	}()
	return nil
}

// bulk moves the data of a bulk transfer.
func (f *client) bulk(ctx context.Context, u *urb, ep uint8) {
	if ep&0x80 != 0 {
		u.n, u.err = f.port.dev.In(ctx, ep, u.bytes)
	} else {
		u.n, u.err = f.port.dev.Out(ctx, ep, u.bytes)
	}
}

// control answers a control transfer, whose buffer begins with the setup
// packet.
func (f *client) control(_ context.Context, u *urb) {
	s, err := usbface.ParseSetup(u.bytes)
	if err != nil || int(s.Length) > len(u.bytes)-8 {
		u.err = syscall.EINVAL
		return
	}
	var answer []byte
	answer, u.err = f.port.dev.Control(s)
	u.n = int(s.Length)
	if s.Type&0x80 != 0 {
		u.n = copy(u.bytes[8:], answer)
	}
}

// finish makes an ended transfer ready to be reaped.
func (f *client) finish(u *urb) {
	u.cancel()
	p := f.port
	p.mu.Lock()
	defer p.mu.Unlock()
	f.pending = slices.DeleteFunc(f.pending, func(o *urb) bool { return o == u })
	f.done = append(f.done, u)
	p.ready++
	p.bell.set(true)
	close(u.ended)
}

// discard cancels a transfer. It can be reaped then like any other.
func (f *client) discard(addr C.gulong) error {
	f.port.mu.Lock()
	i := slices.IndexFunc(f.pending, func(u *urb) bool { return u.addr == addr })
	if i < 0 {
		f.port.mu.Unlock()
		return syscall.EINVAL
	}
	u := f.pending[i]
	f.port.mu.Unlock()
	u.cancel()
	<-u.ended
	return nil
}

// reap takes the transfer that ended first, or nil.
func (f *client) reap() *urb {
	p := f.port
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(f.done) == 0 {
		return nil
	}
	u := f.done[0]
	f.done = f.done[1:]
	p.ready--
	if p.ready == 0 {
		p.bell.set(false)
	}
	return u
}

// reapInto hands the next ended transfer to the program.
func (f *client) reapInto(data *C.UMockdevIoctlData) error {
	u := f.reap()
	if u == nil {
		if f.port.gone() {
			return syscall.ENODEV
		}
		return syscall.EAGAIN
	}
	defer u.free()
	copy(mem(u.buffer), u.bytes)
	m := mem(u.data)
	binary.NativeEndian.PutUint32(m[urbStatus:], uint32(-int32(errno(u.err))))
	binary.NativeEndian.PutUint32(m[urbActual:], uint32(u.n))
	C.umockdev_ioctl_data_set_ptr(data, 0, u.data)
	return nil
}

// reapWait waits for a transfer to end and hands it over.
func (f *client) reapWait(data *C.UMockdevIoctlData) error {
	f.port.mu.Lock()
	var first *urb
	if len(f.done) == 0 && len(f.pending) > 0 {
		first = f.pending[0]
	}
	f.port.mu.Unlock()
	if first != nil {
		<-first.ended
	}
	return f.reapInto(data)
}

// free gives the C data back.
func (u *urb) free() {
	if u.buffer != nil {
		C.g_object_unref(C.gpointer(u.buffer))
	}
	C.g_object_unref(C.gpointer(u.data))
}

// errno is how Linux calls what the device says.
func errno(err error) syscall.Errno {
	var e syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.Is(err, usbface.ErrStall):
		return syscall.EPIPE
	case errors.Is(err, usbface.ErrOverflow):
		return syscall.EOVERFLOW
	case errors.Is(err, usbface.ErrGone):
		return syscall.ESHUTDOWN
	case errors.Is(err, context.Canceled):
		return syscall.ENOENT
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.ETIMEDOUT
	case errors.As(err, &e):
		return e
	}
	return syscall.EPROTO
}

// reply ends an ioctl.
func reply(c *C.UMockdevIoctlClient, n int, err error) {
	if err != nil {
		C.umockdev_ioctl_client_complete(c, -1, C.gint(errno(err)))
		return
	}
	C.umockdev_ioctl_client_complete(c, C.glong(n), 0)
}

// resolve fetches the memory of the program that a pointer at offset in data
// points to. It is nil for no memory; the caller gives it back.
func resolve(data *C.UMockdevIoctlData, offset, size int) *C.UMockdevIoctlData {
	if size == 0 {
		return nil
	}
	return C.umockdev_ioctl_data_resolve(data, C.gsize(offset), C.gsize(size), nil)
}

// mem is the memory of data; writing to it writes to the program's when the
// ioctl ends.
func mem(data *C.UMockdevIoctlData) []byte {
	if data == nil {
		return nil
	}
	return unsafe.Slice((*byte)(data.data), int(data.data_len))
}

// setup reads struct usbdevfs_ctrltransfer, which is in the machine's order.
func setup(m []byte) usbface.Setup {
	return usbface.Setup{
		Type: m[0], Request: m[1],
		Value:  binary.NativeEndian.Uint16(m[2:]),
		Index:  binary.NativeEndian.Uint16(m[4:]),
		Length: binary.NativeEndian.Uint16(m[6:]),
	}
}

// cut gives the C string at the start of b.
func cut(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
