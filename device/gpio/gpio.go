// Package gpio is the panel of a box: push buttons, LEDs and a sounder on GPIO
// lines, such as those of a Raspberry Pi's header.
//
// A [Panel] holds its lines from Open to Close. The levels of a button become
// presses in a machine that knows no hardware; what the LEDs show is a table of
// patterns, docs/panel.md. The lines themselves are those of periph on the
// kernel's character devices /dev/gpiochip*. periph has no switch for polarity
// and no time with an edge, so both are ours: levels are turned round here, and
// a level is timed when it is read. It cannot switch a pull off either: "none"
// leaves a line as the firmware has set it.
package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	pin "periph.io/x/conn/v3/gpio"

	"docscan/device"
)

// longestWait is how long one wait for an edge lasts at most. The end of Watch
// is noticed within it, and four wakings a second cost nothing.
const longestWait = 250 * time.Millisecond

// How long the sounder sounds when all pages are safe, and when a person is
// needed.
const (
	beepSafe  = 80 * time.Millisecond
	beepFault = 700 * time.Millisecond
)

// Panel is the buttons and lights of a box. Show may be called from any
// goroutine; Watch is called once.
type Panel struct {
	log     *slog.Logger
	timing  device.Timing
	buttons []input
	leds    []indicator
	sounder *output // nil if there is none

	mu    sync.Mutex
	light device.Light
	since time.Time // when light began
	err   error     // of the last write to an LED or the sounder that failed
	wake  chan struct{}
}

var _ device.Panel = (*Panel)(nil)

// input is the line of a button.
type input struct {
	line line
	low  bool // the line is low while the button is pressed
	cfg  Button
}

func (i *input) pressed() bool { return (i.line.Read() == pin.High) != i.low }

// output is the line of an LED or a sounder.
type output struct {
	what string
	line line
	low  bool // the line is low while it is on
	on   bool // as last written
}

// set writes on if that is news.
func (o *output) set(on bool) error {
	if o.on == on {
		return nil
	}
	if err := o.line.Out(pin.Level(on != o.low)); err != nil {
		return fmt.Errorf("%s: %w", o.what, err)
	}
	o.on = on
	return nil
}

// indicator is an LED and what it shows.
type indicator struct {
	output
	cfg LED
}

// Open takes the lines that a checked cfg names into use. LEDs and sounder are
// off then. Close must be called to give the lines back.
func Open(cfg Config, log *slog.Logger) (*Panel, error) {
	list, err := chips()
	if err != nil {
		return nil, fmt.Errorf("open the panel: %w", err)
	}
	p, err := open(cfg, list, log)
	if err != nil {
		return nil, fmt.Errorf("open the panel: %w", err)
	}
	return p, nil
}

func open(cfg Config, list []*chip, log *slog.Logger) (*Panel, error) {
	lines, chip, err := cfg.resolve(list)
	if err != nil {
		return nil, err
	}
	p := &Panel{log: log, timing: cfg.timing(), light: device.LightIdle, since: time.Now(), wake: make(chan struct{}, 1)}
	var errs []error
	output := func(u use, l line, low bool) output {
		// The kernel makes it low first, so what is active low may flash here.
		if err := l.Out(pin.Level(low)); err != nil {
			errs = append(errs, refused(u, l, err))
		}
		return output{what: u.what, line: l, low: low}
	}
	uses := cfg.uses()
	for _, b := range cfg.Buttons {
		l, u := lines[0], uses[0]
		lines, uses = lines[1:], uses[1:]
		if err := l.In(b.pull(), pin.BothEdges); err != nil {
			errs = append(errs, refused(u, l, err))
		}
		p.buttons = append(p.buttons, input{line: l, low: b.ActiveLow, cfg: b})
	}
	for _, c := range cfg.LEDs {
		p.leds = append(p.leds, indicator{output(uses[0], lines[0], c.ActiveLow), c})
		lines, uses = lines[1:], uses[1:]
	}
	if cfg.Sounder.Line != "" {
		o := output(uses[0], lines[0], cfg.Sounder.ActiveLow)
		p.sounder = &o
	}
	if err := errors.Join(errs...); err != nil {
		p.Close()
		return nil, err
	}
	log.Info("the panel is ready", "chip", chip.label, "buttons", len(p.buttons), "leds", len(p.leds), "sounder", p.sounder != nil)
	return p, nil
}

// pull is what the line's resistor in the chip does.
func (b *Button) pull() pin.Pull {
	switch {
	case b.Pull == "up", b.Pull == "" && b.ActiveLow:
		return pin.PullUp
	case b.Pull == "none":
		return pin.PullNoChange
	}
	return pin.PullDown
}

// Close gives the lines back. Watch must have ended.
func (p *Panel) Close() {
	for _, b := range p.buttons {
		b.line.Close()
	}
	for _, l := range p.leds {
		l.line.Close()
	}
	if p.sounder != nil {
		p.sounder.line.Close()
	}
}

// Show sets the light. LEDs are written by Watch, so an error is that of an
// earlier light.
func (p *Panel) Show(l device.Light) error {
	p.mu.Lock()
	if l != p.light {
		p.light, p.since = l, time.Now()
	}
	err := p.err
	p.err = nil
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	if err != nil {
		return fmt.Errorf("show %s: %w", l, err)
	}
	return nil
}

// Watch calls press for every press, one after the other, and runs the lights
// until ctx ends. Then all is dark. A button whose line fails is logged and
// left alone; the others go on.
func (p *Panel) Watch(ctx context.Context, press func(device.Press)) error {
	presses := make(chan device.Press, 8) // so that a slow start of a scan does not blind the buttons
	var senders errgroup.Group
	for i := range p.buttons {
		senders.Go(func() error { p.watch(ctx, &p.buttons[i], presses); return nil })
	}
	var g errgroup.Group
	g.Go(func() error { p.shine(ctx); return nil })
	g.Go(func() error {
		defer close(presses)
		return senders.Wait()
	})
	for presses := presses; ; {
		select {
		case <-ctx.Done():
			return g.Wait()
		case one, ok := <-presses:
			if !ok {
				presses = nil // there is no button, or none is left
				continue
			}
			press(one)
		}
	}
}

// watch reads one button until ctx ends or its line fails.
func (p *Panel) watch(ctx context.Context, in *input, presses chan<- device.Press) {
	b := device.NewButton(p.timing, time.Now(), in.pressed())
	for ctx.Err() == nil {
		began, wait := time.Now(), longestWait
		if at, ok := b.Next(); ok {
			wait = max(min(wait, at.Sub(began)), time.Millisecond) // 0 would be for ever
		}
		if !in.line.WaitForEdge(wait) && time.Since(began) < wait {
			// Neither an edge nor the end of the wait: the line cannot be read any
			// more, and what Read says now means nothing.
			p.log.Error("a button cannot be read any more; start docscand again when its GPIO chip is back", "button", in.cfg.name(), "line", in.cfg.Line)
			return
		}
		for _, g := range b.Read(time.Now(), in.pressed()) {
			select {
			case presses <- device.Press{Device: in.cfg.Device, Button: in.cfg.name(), Gesture: g}:
			case <-ctx.Done():
			}
		}
	}
}

// shine makes LEDs and sounder follow the light until ctx ends.
func (p *Panel) shine(ctx context.Context) {
	defer p.dark()
	var sounded device.Light    // the last one that the sounder has heard of,
	var heard, silent time.Time // since when that was, and when the sounder ends
	for {
		p.mu.Lock()
		light, since := p.light, p.since
		p.mu.Unlock()
		elapsed := time.Since(since)
		var next time.Duration // until something changes by itself; 0: nothing does
		step := func(o *output, on bool, stays time.Duration) {
			p.failed(o.set(on))
			if stays > 0 && (next == 0 || stays < next) {
				next = stays
			}
		}
		for i := range p.leds {
			lit, stays := p.leds[i].cfg.pattern(light).at(elapsed)
			step(&p.leds[i].output, lit, stays)
		}
		if p.sounder != nil {
			if light != sounded || since != heard { // in full, however late it begins, and whatever comes next
				sounded, heard = light, since
				if lasts := beep(light); lasts > 0 {
					silent = time.Now().Add(lasts)
				}
			}
			left := time.Until(silent)
			step(p.sounder, left > 0, max(left, 0))
		}
		var timer <-chan time.Time
		if next > 0 {
			timer = time.After(next)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer:
		}
	}
}

// beep is how long the sounder sounds when light begins.
func beep(light device.Light) time.Duration {
	switch light {
	case device.LightSafe:
		return beepSafe
	case device.LightNeedsYou, device.LightFault:
		return beepFault
	}
	return 0
}

// dark switches everything off.
func (p *Panel) dark() {
	for i := range p.leds {
		p.failed(p.leds[i].set(false))
	}
	if p.sounder != nil {
		p.failed(p.sounder.set(false))
	}
}

// failed keeps err for the next Show.
func (p *Panel) failed(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}
