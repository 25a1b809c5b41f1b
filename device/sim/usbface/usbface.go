// Package usbface is the USB face of a simulated scanner: a device with
// descriptors, control requests and bulk pipes, in pure Go. Behind every
// IPP-over-USB interface runs an ordinary [http.Server] with the handler that
// is also served over the network, so both faces show one scanner.
//
// A [Device] is what a bus sees of it: [Device.Control], [Device.In] and
// [Device.Out]. Which bus that is, a mock of usbfs or another, is not known
// here. The device is a strict one: it refuses what a real one only might.
package usbface

import (
	"context"
	"errors"
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
	pairs  []*pair
	server *http.Server
	wg     sync.WaitGroup

	gone     chan struct{} // closed by Unplug
	goneOnce sync.Once
	sent     atomic.Int64 // bytes read from the device
	stalled  atomic.Bool  // the one stall of Faults.StallAfter has happened

	mu          sync.Mutex
	stringsLeft int // requests for strings still to be refused
}

// New makes a device that answers with h on each of its interfaces. Close must
// be called to end what it started.
func New(l Layout, f Faults, h http.Handler, log *slog.Logger) (*Device, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	d := &Device{
		layout:      l,
		faults:      f,
		gone:        make(chan struct{}),
		stringsLeft: f.Strings,
		server:      &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)},
	}
	for i := range l.Pairs {
		p := newPair(l.number(i), d.gone)
		d.pairs = append(d.pairs, p)
		d.wg.Go(func() {
			err := d.server.Serve(p)
			if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, ErrGone) {
				log.Error("simulated USB interface stopped", "err", err)
			}
		})
	}
	return d, nil
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
	err := d.server.Close()
	d.wg.Wait()
	return err
}

// Reset does what a port reset does: alternate settings return to 0 and the
// HTTP connections start anew.
func (d *Device) Reset() {
	for _, p := range d.pairs {
		p.selectAlt(0)
	}
}

// In reads one bulk transfer from the endpoint with address ep into b. It
// blocks while the device has nothing to say (NAK) until ctx ends, and returns
// early at a short packet as a host controller does.
func (d *Device) In(ctx context.Context, ep uint8, b []byte) (int, error) {
	p, err := d.active(ep)
	if err != nil {
		return 0, err
	}
	if p.zeroRead(d.faults.ZeroReads) {
		return 0, nil
	}
	n, err := p.in(ctx, b)
	if err != nil {
		return n, err
	}
	// The last packet may have been a longer one that did not fit. A real
	// device overflows only then; this one never lets it pass.
	if n == len(b) && n%MaxPacket != 0 {
		return n, ErrOverflow
	}
	sent := d.sent.Add(int64(n))
	if d.faults.StallAfter > 0 && sent >= d.faults.StallAfter && !d.stalled.Swap(true) {
		p.halted.Store(true)
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
	p, err := d.active(ep)
	if err != nil {
		return 0, err
	}
	return p.out(ctx, b)
}

// active finds the interface pair that has endpoint ep and is switched to
// IPP over USB. The printer behind alternate setting 0 refuses all data.
func (d *Device) active(ep uint8) (*pair, error) {
	select {
	case <-d.gone:
		return nil, ErrGone
	default:
	}
	for i, p := range d.pairs {
		in, out := d.layout.endpoints(i)
		if ep != in && ep != out {
			continue
		}
		if p.alt() != 1 || ep == in && p.halted.Load() {
			return nil, ErrStall
		}
		return p, nil
	}
	return nil, ErrStall
}

// Interface gives the number of the interface that has endpoint ep.
func (d *Device) Interface(ep uint8) (int, bool) {
	for i := range d.pairs {
		if in, out := d.layout.endpoints(i); ep == in || ep == out {
			return d.layout.number(i), true
		}
	}
	return 0, false
}

// Interfaces gives the numbers of all interfaces, rising.
func (d *Device) Interfaces() []int {
	var n []int
	for i := range d.pairs {
		n = append(n, d.layout.number(i))
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
