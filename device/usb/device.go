package usb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/gousb"

	"docscan/device"
)

// Device is one opened machine with some of its interfaces claimed. Its
// methods may be called from any goroutine.
type Device struct {
	desc    Desc
	settle  time.Duration
	pipes   []*Pipe
	journal journal
	ladder  *device.Ladder

	mu     sync.Mutex // held while interfaces are claimed or given up
	dev    *gousb.Device
	config *gousb.Config
}

// Pipe is one claimed interface: a stream of bytes in each direction. One Read
// and one Write may run at the same time.
type Pipe struct {
	device  *Device
	setting Setting

	use  sync.RWMutex // read-locked by transfers, locked while the interface is claimed or given up
	intf *gousb.Interface
	in   *endpoint
	out  *endpoint

	mu   sync.Mutex
	stop context.CancelCauseFunc // ends the transfers under way
	live context.Context         // of the transfers
}

// errRestarted ends the transfers of a pipe that is restarted or closed.
var errRestarted = errors.New("the USB interface was restarted")

// Open opens the device that d describes, takes the interfaces of the settings
// from the kernel and selects those settings. All must be of one
// configuration.
func (b *Bus) Open(ctx context.Context, d Desc, settings []Setting) (*Device, error) {
	if len(settings) == 0 {
		return nil, fmt.Errorf("open %s: no interface to use", d.Port)
	}
	dev, err := b.open(d)
	if err != nil {
		return nil, err
	}
	dev.ControlTimeout = controlTimeout
	o := &Device{desc: d, settle: b.settle, dev: dev, ladder: device.NewLadder(b.log.With("port", d.Port))}
	for _, s := range settings {
		o.pipes = append(o.pipes, &Pipe{device: o, setting: s})
	}
	if err := o.claim(ctx); err != nil {
		o.release()
		dev.Close() // its only error is that something is claimed
		return nil, err
	}
	return o, nil
}

// Ladder counts the steps by which the device was brought back.
func (d *Device) Ladder() *device.Ladder { return d.ladder }

// Pipes gives the claimed interfaces in the order of the settings.
func (d *Device) Pipes() []*Pipe { return d.pipes }

// claim takes all interfaces. After an error some may have been taken.
func (d *Device) claim(ctx context.Context) error {
	number := d.pipes[0].setting.Config
	wanted, ok := d.dev.Desc.Configs[number]
	if !ok {
		return fmt.Errorf("open %s: it has no configuration %d", d.desc.Port, number)
	}
	// gousb detaches the kernel's drivers from all interfaces that it knows
	// of. Show it only ours: a card reader in the same machine stays mounted.
	all := wanted.Interfaces
	wanted.Interfaces = nil
	for _, i := range all {
		for _, p := range d.pipes {
			if p.setting.Interface == i.Number {
				wanted.Interfaces = append(wanted.Interfaces, i)
			}
		}
	}
	d.dev.Desc.Configs[number] = wanted
	defer func() {
		wanted.Interfaces = all
		d.dev.Desc.Configs[number] = wanted
	}()
	if err := d.dev.SetAutoDetach(true); err != nil {
		return explain(d.desc, "detach the kernel's driver from", err)
	}
	config, err := d.dev.Config(number)
	if err != nil {
		return explain(d.desc, "configure", err)
	}
	d.config = config
	config.Desc.Interfaces = indexed(wanted.Interfaces)
	if err := pause(ctx, d.settle); err != nil {
		return err
	}
	for _, p := range d.pipes {
		if err := p.claim(); err != nil {
			return err
		}
	}
	return nil
}

// indexed puts every interface at the index of its number, which is where
// gousb v1.1.3 looks for it (google/gousb#134), and makes each seem to have
// more than one alternate setting, so that gousb always selects one: that also
// puts both ends of the pipes in step.
func indexed(list []gousb.InterfaceDesc) []gousb.InterfaceDesc {
	none := gousb.InterfaceSetting{Number: -1, Alternate: -1}
	var out []gousb.InterfaceDesc
	for _, i := range list {
		for len(out) <= i.Number {
			out = append(out, gousb.InterfaceDesc{Number: -1})
		}
		i.AltSettings = append(append([]gousb.InterfaceSetting{}, i.AltSettings...), none, none)
		out[i.Number] = i
	}
	return out
}

// claim takes the interface and selects its setting.
func (p *Pipe) claim() error {
	p.use.Lock()
	defer p.use.Unlock()
	s := p.setting
	intf, err := p.device.config.Interface(s.Interface, s.Alternate)
	if err != nil {
		return explain(p.device.desc, fmt.Sprintf("claim interface %d of", s.Interface), err)
	}
	p.intf = intf
	in, err := intf.InEndpoint(s.In)
	if err == nil {
		p.in, err = newEndpoint(p.device.dev, in.Desc.Address)
	}
	if err != nil {
		p.free()
		return explain(p.device.desc, "use the IN endpoint of", err)
	}
	out, err := intf.OutEndpoint(s.Out)
	if err == nil {
		p.out, err = newEndpoint(p.device.dev, out.Desc.Address)
	}
	if err != nil {
		p.free()
		return explain(p.device.desc, "use the OUT endpoint of", err)
	}
	p.mu.Lock()
	p.live, p.stop = context.WithCancelCause(context.Background())
	p.mu.Unlock()
	return nil
}

// release ends the transfers and gives the interface up. clear says that the
// halts of the endpoints are cleared before.
func (p *Pipe) release(clear bool) {
	p.mu.Lock()
	if p.stop != nil {
		p.stop(errRestarted)
	}
	p.mu.Unlock()
	p.use.Lock()
	defer p.use.Unlock()
	if clear && p.intf != nil {
		// An error is no news: the claim that follows tells.
		p.in.clearHalt()
		p.out.clearHalt()
	}
	p.free()
}

// free gives up what claim took; p.use is locked.
func (p *Pipe) free() {
	for _, e := range []**endpoint{&p.in, &p.out} {
		if *e != nil {
			(*e).close()
			*e = nil
		}
	}
	if p.intf != nil {
		p.intf.Close()
		p.intf = nil
	}
}

// release gives up all interfaces.
func (d *Device) release() {
	for _, p := range d.pipes {
		p.release(false)
	}
	if d.config != nil {
		d.config.Close() // its only error is that an interface is open
		d.config = nil
	}
}

// Close ends all transfers and gives the device back to the kernel.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release()
	if err := d.dev.Close(); err != nil {
		return fmt.Errorf("close %s: %w", d.desc.Port, err)
	}
	return nil
}

// Reset resets the device's port and takes the interfaces again. Transfers
// under way end with an error. A device that comes back with other descriptors
// is a new one to the kernel: the Fault is then of kind Unplugged.
func (d *Device) Reset(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release()
	d.ladder.Climb(device.PortReset, nil)
	if err := d.dev.Reset(); err != nil {
		return explain(d.desc, "reset", err)
	}
	return d.claim(ctx)
}

// Restart puts both ends of the pipe in step: it clears halts, asks a device of
// the printer class to forget what is under way, and claims the interface anew.
// Transfers under way end with an error. The other pipes go on.
func (p *Pipe) Restart(_ context.Context) error {
	d := p.device
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ladder.Climb(device.ClearHalt, nil)
	p.release(true)
	if d.config == nil {
		return explain(d.desc, "restart", gousb.ErrorNoDevice) // a reset failed
	}
	if s := p.setting; s.Class == 7 || s.Is(255, 9, 1) {
		// Devices that do not know it refuse, and the new claim has to do.
		const softReset = 2
		d.ladder.Climb(device.SoftReset, nil)
		_, err := d.dev.Control(gousb.ControlOut|gousb.ControlClass|gousb.ControlInterface,
			softReset, 0, uint16(s.Interface), nil)
		if err != nil {
			if err := explain(d.desc, "restart", err); device.KindOf(err) == device.Unplugged {
				return err
			}
		}
	}
	return p.claim()
}

// Read does one bulk transfer from the device into b, whose length should be a
// multiple of 1024. It may move no bytes at all, as devices answer so when
// they have nothing to say. When ctx ends it returns what has come.
func (p *Pipe) Read(ctx context.Context, b []byte) (int, error) {
	return p.transfer(ctx, reading, b)
}

// Write does one bulk transfer of b to the device. When ctx ends it says how
// much the device took.
func (p *Pipe) Write(ctx context.Context, b []byte) (int, error) {
	return p.transfer(ctx, writing, b)
}

func (p *Pipe) transfer(ctx context.Context, what string, b []byte) (n int, err error) {
	err = p.busy(ctx, what, func(ctx context.Context) error {
		e := p.out
		if what == reading {
			e = p.in
		}
		began := time.Now()
		n, err = e.transfer(ctx, b)
		p.device.journal.add(transfer{began, time.Since(began), p.setting.Interface, what, len(b), n, err})
		return err
	})
	return n, err
}

// What a transfer is called.
const (
	reading = "read from"
	writing = "write to"
)

// busy does something that moves data, while the interface cannot be given up,
// and says what its error means. The context that do gets ends with ctx and when
// the pipe is restarted or closed.
func (p *Pipe) busy(ctx context.Context, what string, do func(context.Context) error) error {
	p.use.RLock()
	defer p.use.RUnlock()
	if p.intf == nil {
		return explain(p.device.desc, what, gousb.ErrorNoDevice)
	}
	p.mu.Lock()
	live := p.live
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(live, func() { cancel(context.Cause(live)) })()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := do(ctx)
	switch {
	case err == nil || errors.Is(err, ErrLate):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return explain(p.device.desc, what, err)
}

// ErrLate says that a device did not answer in time.
var ErrLate = errors.New("no answer in time")

// Exchange is a command to a device and its answer. Each part is one bulk
// transfer; one that is empty is left out. They are done in this order, until one
// fails or moves another number of bytes than it should.
type Exchange struct {
	Command []byte
	Out     []byte // data that follow the command
	In      []byte // room for the data that come, in whole packets
	Want    int    // how many bytes of In should come
	Status  []byte // room for what comes last, in whole packets
	// Limit is how long each part may take; 0 is for ever.
	Limit time.Duration
	// Moved is how many bytes were moved of Command, Out, In and Status.
	Moved [4]int
}

// Taken reports whether the device took all that was to be sent.
func (x *Exchange) Taken() bool {
	return x.Moved[0] == len(x.Command) && x.Moved[1] == len(x.Out)
}

// Exchange does x. The error is [ErrLate] if a part takes too long.
func (p *Pipe) Exchange(ctx context.Context, x *Exchange) error {
	return p.busy(ctx, "ask", func(ctx context.Context) error {
		at := time.Now()
		return exchange(ctx, p.out, p.in, x, func(part int, took time.Duration, err error) {
			what := writing
			if part >= 2 {
				what = reading
			}
			asked := len([...][]byte{x.Command, x.Out, x.In, x.Status}[part])
			p.device.journal.add(transfer{at, took, p.setting.Interface, what, asked, x.Moved[part], err})
			at = at.Add(took)
		})
	})
}
