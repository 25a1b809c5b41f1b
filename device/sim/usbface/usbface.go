// Package usbface is the USB face of a simulated scanner: a device with
// descriptors, control requests and bulk pipes, in pure Go. There are two
// kinds. Behind every IPP-over-USB interface runs an ordinary [http.Server] with
// the handler that is also served over the network, so both faces show one
// scanner. Behind a vendor-class interface is a [Function], which sees the
// transfers as the messages that they are.
//
// A [Device] is what a bus sees of it: [Device.Control], [Device.In] and
// [Device.Out]. Which bus that is, a mock of usbfs or another, is not known
// here. The device is a strict one: it refuses what a real one only might.
package usbface

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
)

// What a transfer can end with, besides success and the end of its context.
var (
	ErrStall    = errors.New("endpoint halted or request refused") // EPIPE on Linux
	ErrOverflow = errors.New("more data than the host asked for")  // EOVERFLOW on Linux
	ErrGone     = errors.New("device unplugged")
)

// MaxPacket is the packet size of the bulk endpoints, in bytes: high speed.
const MaxPacket = 512

// Faults are the ways in which the device misbehaves. The zero value behaves.
type Faults struct {
	ZeroReads   int   // answer so many bulk reads with no data before each one that has some
	Strings     int   // refuse so many requests for a string before answering them
	StallAfter  int64 // halt the IN endpoint once after so many bytes; 0: never
	UnplugAfter int64 // vanish after so many bytes read from the device; 0: never
}

// Device is one simulated USB device. Its methods may be called from any
// goroutine.
type Device struct {
	layout Layout
	faults Faults
	ifaces []*iface
	pairs  []*pair      // those of the ifaces that have a web server behind them
	server *http.Server // nil for a vendor's device
	wg     sync.WaitGroup

	gone     chan struct{} // closed by Unplug
	goneOnce sync.Once
	sent     atomic.Int64 // bytes read from the device
	stalled  atomic.Bool  // the one stall of Faults.StallAfter has happened

	mu          sync.Mutex
	stringsLeft int // requests for strings still to be refused
}

// New makes a device that answers with h on each of its IPP-over-USB interfaces.
// Close must be called to end what it started.
func New(l Layout, f Faults, h http.Handler, log *slog.Logger) (*Device, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	d := newDevice(l, f)
	d.server = &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	for n := range l.Pairs {
		p := newPair(d.gone)
		d.pairs = append(d.pairs, p)
		d.ifaces = append(d.ifaces, &iface{number: l.number(n), settings: l.ippSettings(), data: 1, pipes: p})
		d.wg.Go(func() {
			err := d.server.Serve(p)
			if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, ErrGone) {
				log.Error("simulated USB interface stopped", "err", err)
			}
		})
	}
	return d, nil
}

// NewVendor makes a device with one vendor-class interface (255/255/255), behind
// which is fn.
func NewVendor(l Layout, f Faults, fn Function) (*Device, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.Pairs != 1 {
		return nil, fmt.Errorf("%d interfaces: a vendor's device has one", l.Pairs)
	}
	d := newDevice(l, f)
	m := &messages{fn: fn, gone: d.gone}
	d.ifaces = []*iface{{number: l.number(0), settings: [][3]byte{{255, 255, 255}}, pipes: m}}
	return d, nil
}

func newDevice(l Layout, f Faults) *Device {
	return &Device{layout: l, faults: f, gone: make(chan struct{}), stringsLeft: f.Strings}
}

// Unplug takes the device off its bus. Every transfer, also one under way,
// ends with [ErrGone].
func (d *Device) Unplug() {
	d.goneOnce.Do(func() { close(d.gone) })
}

// Gone is closed when the device has been unplugged.
func (d *Device) Gone() <-chan struct{} { return d.gone }

// Close unplugs the device and waits for the end of what it started.
func (d *Device) Close() error {
	d.Unplug()
	if d.server == nil {
		return nil
	}
	err := d.server.Close()
	d.wg.Wait()
	return err
}

// Reset does what a port reset does: alternate settings return to 0 and what is
// under way is forgotten.
func (d *Device) Reset() {
	for _, i := range d.ifaces {
		i.selectAlt(0)
	}
}

// In reads one bulk transfer from the endpoint with address ep into b. It
// blocks while the device has nothing to say (NAK) until ctx ends, and returns
// early at a short packet as a host controller does.
func (d *Device) In(ctx context.Context, ep uint8, b []byte) (int, error) {
	i, err := d.active(ep)
	if err != nil {
		return 0, err
	}
	if i.zeroRead(d.faults.ZeroReads) {
		return 0, nil
	}
	n, err := i.pipes.in(ctx, b)
	switch {
	case errors.Is(err, ErrStall):
		i.halted.Store(true)
	case errors.Is(err, ErrGone):
		d.Unplug()
	}
	if err != nil {
		return n, err
	}
	sent := d.sent.Add(int64(n))
	if d.faults.StallAfter > 0 && sent >= d.faults.StallAfter && !d.stalled.Swap(true) {
		i.halted.Store(true)
	}
	if d.faults.UnplugAfter > 0 && sent >= d.faults.UnplugAfter {
		d.Unplug()
	}
	return n, nil
}

// Out writes one bulk transfer to the endpoint with address ep. It blocks
// while the device takes no more (NAK) until ctx ends, and then says how much
// it took.
func (d *Device) Out(ctx context.Context, ep uint8, b []byte) (int, error) {
	i, err := d.active(ep)
	if err != nil {
		return 0, err
	}
	return i.pipes.out(ctx, b)
}

// active finds the interface that has endpoint ep and is switched to move data.
// The printer behind alternate setting 0 of IPP over USB refuses all data.
func (d *Device) active(ep uint8) (*iface, error) {
	select {
	case <-d.gone:
		return nil, ErrGone
	default:
	}
	for n, i := range d.ifaces {
		in, out := d.layout.endpoints(n)
		if ep != in && ep != out {
			continue
		}
		if i.alt() != i.data || ep == in && i.halted.Load() {
			return nil, ErrStall
		}
		return i, nil
	}
	return nil, ErrStall
}

// Interface gives the number of the interface that has endpoint ep.
func (d *Device) Interface(ep uint8) (int, bool) {
	for n, i := range d.ifaces {
		if in, out := d.layout.endpoints(n); ep == in || ep == out {
			return i.number, true
		}
	}
	return 0, false
}

// Interfaces gives the numbers of all interfaces, rising.
func (d *Device) Interfaces() []int {
	var n []int
	for _, i := range d.ifaces {
		n = append(n, i.number)
	}
	return n
}

// asGone turns the end of a pipe into ErrGone if the device was unplugged.
func (p *pair) asGone(err error) error {
	select {
	case <-p.gone:
		return ErrGone
	default:
		return err
	}
}

// closed tells that the device's side of a pipe was closed, which a USB host
// cannot see.
func closed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe)
}
