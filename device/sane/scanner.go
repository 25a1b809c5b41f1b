package sane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/confine"
	"docscan/device/usb"
)

// Scanner is one device, open in a helper of its own. If the helper dies, the
// next use starts another one.
type Scanner struct {
	f    *Finder
	name string // that SANE opens it by
	kind string // what SANE says it is
	usb  *usbDevice
	info device.Info
	log  *slog.Logger

	mu      sync.Mutex // also held while a helper is started
	p       *process   // never nil; may be dead
	caps    device.Caps
	opts    options
	sensors sensors
	run     *run
	seen    device.ButtonState // at the last look
	started int                // helpers so far
	begun   time.Time          // when the last one was started
	deaths  int                // of helpers that did not live long, in a row
}

var (
	_ device.Scanner   = (*Scanner)(nil)
	_ device.Diagnoser = (*Scanner)(nil)
)

// withButtons is a Scanner whose machine has buttons or a paper sensor to be
// asked for. Others are not polled.
type withButtons struct{ *Scanner }

var _ device.Buttons = withButtons{}

// stopTime is how long a helper may take to give its device back.
const stopTime = 5 * time.Second

// openScanner opens the device of e.
func openScanner(ctx context.Context, f *Finder, e entry) (device.Scanner, error) {
	s := &Scanner{f: f, name: e.listed.Name, kind: e.listed.Kind, usb: e.usb, info: e.info, log: f.log.With("device", e.info.ID)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if err := s.measure(ctx); err != nil {
		s.p.stop(stopTime)
		return nil, err
	}
	if len(s.sensors.names) > 0 || s.sensors.loaded {
		return withButtons{s}, nil
	}
	return s, nil
}

// begin starts a helper and has it open the device; s.mu is held.
func (s *Scanner) begin(ctx context.Context) error {
	p, err := s.f.helper(ctx)
	if err != nil {
		return err
	}
	s.started, s.begun = s.started+1, time.Now()
	a, _, err := p.call(ctx, s.f.cfg.call(), &request{Op: opOpen, Name: s.name})
	switch {
	case err != nil:
	case a.Missing != "":
		err = fmt.Errorf("%w: %s", errMissing, confine.Plain(a.Missing))
	case a.Status != statusGood:
		err = s.explain("open", a.Status)
	}
	if err != nil {
		p.stop(0)
		if errors.Is(err, errDead) {
			err = s.deadFault("open", err)
		}
		return fmt.Errorf("open %s: %w", s.name, err)
	}
	s.p, s.opts = p, usable(a.Options)
	s.sensors = sensorsOf(s.opts)
	return nil
}

// measure finds out what the device can do. How large paper may be, the options
// only say of the source that is chosen, so each is chosen once; the feeder
// comes last, as it is what the next run is most likely to want.
func (s *Scanner) measure(ctx context.Context) error {
	s.caps = capsOf(s.opts, s.kind)
	sources := slices.Clone(s.caps.Sources)
	slices.SortStableFunc(sources, func(x, y device.Source) int { return strings.Compare(string(y), string(x)) })
	for _, source := range sources {
		set := device.Settings{Source: source, Duplex: source == device.Feeder && s.caps.Duplex}
		for _, a := range setSource(s.opts, &set) {
			if err := s.assign(ctx, s.p, a); err != nil {
				return err
			}
		}
		here := capsOf(s.opts, s.kind)
		s.caps.MaxWidth, s.caps.MaxLength = max(s.caps.MaxWidth, here.MaxWidth), max(s.caps.MaxLength, here.MaxLength)
		s.caps.Modes, s.caps.Resolutions = here.Modes, here.Resolutions
		s.caps.Duplex = s.caps.Duplex || here.Duplex
	}
	return nil
}

// Info says what the machine is.
func (s *Scanner) Info() device.Info { return s.info }

// Caps says what the machine can do.
func (s *Scanner) Caps() device.Caps { return s.caps }

// A helper that dies is started again at once, and then ever more slowly: a
// backend that crashes at the sight of its device would keep a processor busy.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// alive starts a new helper if the last one is dead; s.mu is held.
func (s *Scanner) alive(ctx context.Context) error {
	why := s.p.dead()
	if why == nil {
		return nil
	}
	lived := time.Since(s.begun)
	if lived > lastPause {
		s.deaths = 0
	}
	if s.deaths > 0 && lived < min(firstPause<<min(s.deaths, 10), lastPause) {
		return s.deadFault("wait to start", why)
	}
	s.deaths++
	s.log.Warn("starting the SANE backend again", "err", why, "starts", s.started)
	s.p.stop(0)
	return s.begin(ctx)
}

// gone says whether the machine has left USB.
func (s *Scanner) gone() bool { return s.usb != nil && !s.usb.present(s.f.sys) }

// deadFault is what the death of a helper means.
func (s *Scanner) deadFault(what string, err error) error {
	kind := device.Hardware
	if s.gone() {
		kind = device.Unplugged
	}
	return &device.Fault{Kind: kind, Detail: what + " " + s.name, Err: err}
}

// explain says what a status means for a person.
func (s *Scanner) explain(what string, st status) error {
	kind := device.Hardware
	switch st {
	case statusCancelled:
		kind = device.Stopped
	case statusBusy:
		kind = device.HeldByOther
	case statusJammed:
		kind = device.Jam
	case statusNoDocs:
		kind = device.NoPaper
	case statusCoverOpen:
		kind = device.Cover
	case statusUnsupported, statusInval, statusEOF:
		kind = device.BadAnswer
		if s.gone() || what == "open" { // the backend does not know the device any more
			kind = device.Unplugged
		}
	case statusIOError:
		if s.gone() {
			kind = device.Unplugged
		}
	case statusNoMem:
		return device.Faultf(kind, "%s %s: %v: the backend wants more than the %d MB of device.sane.memory_mb", what, s.name, st, s.f.cfg.MemoryMB)
	case statusAccessDenied:
		return &device.Fault{
			Kind: device.NoRights,
			Detail: fmt.Sprintf("%s %s: %v: its device file%s must be writable for the user of docscand; install docscan's udev rule or the maker's and replug the scanner, or add the user to the group that owns the file",
				what, s.name, st, s.file()),
			Err: usb.ErrAccess,
		}
	}
	return device.Faultf(kind, "%s %s: %v", what, s.name, st)
}

// file names the device file, if it is known.
func (s *Scanner) file() string {
	if s.usb == nil {
		return ""
	}
	return fmt.Sprintf(" /dev/bus/usb/%03d/%03d", s.usb.bus, s.usb.address)
}

// ask makes one call that gives no image, with the time for such.
func (s *Scanner) ask(ctx context.Context, p *process, what string, r *request) (answer, error) {
	a, _, err := p.call(ctx, s.f.cfg.call(), r)
	switch {
	case errors.Is(err, errDead):
		return a, s.deadFault(what, err)
	case err != nil:
		return a, err
	case a.Status != statusGood:
		return a, s.explain(what, a.Status)
	}
	return a, nil
}

// assign gives an option its value, unless it has it. A value that the backend
// does not take is no reason not to scan.
func (s *Scanner) assign(ctx context.Context, p *process, a assignment) error {
	if a.option.readable() && a.option.Value == a.value {
		return nil
	}
	got, _, err := p.call(ctx, s.f.cfg.call(), &request{Op: opSet, Option: a.option.Index, Value: a.value})
	what := "set " + a.option.Name
	switch {
	case errors.Is(err, errDead):
		return s.deadFault(what, err)
	case err != nil:
		return err
	case got.Status == statusInval, got.Status == statusUnsupported:
		s.log.Warn("SANE backend refuses a setting", "option", a.option.Name, "word", a.value.Word, "text", a.value.Text)
		return nil
	case got.Status != statusGood:
		return s.explain(what, got.Status)
	}
	if len(got.Options) > 0 {
		s.opts = usable(got.Options)
		return nil
	}
	for i := range s.opts {
		if s.opts[i].Index == a.option.Index {
			s.opts[i].Value = a.value
		}
	}
	return nil
}

// look reads the sensors, if no run is open; s.mu is held. Without sensors it
// only makes sure of a helper that lives.
func (s *Scanner) look(ctx context.Context) (look, error) {
	if err := s.alive(ctx); err != nil {
		return look{}, err
	}
	if s.gone() {
		return look{}, device.Faultf(device.Unplugged, "%s has left %s", s.name, s.info.Port)
	}
	if len(s.sensors.indices) == 0 {
		return look{}, nil
	}
	a, err := s.ask(ctx, s.p, "read the sensors of", &request{Op: opGet, Option: s.sensors.update, Indices: s.sensors.indices})
	if err != nil {
		return look{}, err
	}
	l, ok := s.sensors.read(a.Values)
	if !ok {
		return look{}, device.Faultf(device.BadAnswer, "%s: %d values of %d sensors", s.name, len(a.Values), len(s.sensors.indices))
	}
	s.seen = device.ButtonState{Down: l.down, Loaded: l.loaded}
	return l, nil
}

// Status reads the sensors, if the machine has any that SANE knows. While a run
// is open nothing is asked.
func (s *Scanner) Status(ctx context.Context) (device.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return device.Status{State: device.Scanning, Loaded: s.seen.Loaded}, nil
	}
	l, err := s.look(ctx)
	switch {
	case device.KindOf(err) == device.Cover:
		return device.Status{State: device.CoverOpen, Fault: device.Cover}, nil
	case device.KindOf(err) == device.HeldByOther:
		return device.Status{State: device.InUse, Fault: device.HeldByOther}, nil
	case err != nil:
		return device.Status{}, err
	case l.open:
		return device.Status{State: device.CoverOpen, Loaded: l.loaded, Fault: device.Cover}, nil
	case s.sensors.loaded && !l.loaded && !slices.Contains(s.caps.Sources, device.Platen):
		return device.Status{State: device.Empty}, nil
	}
	return device.Status{State: device.Ready, Loaded: l.loaded}, nil
}

// Buttons reads the sensors. While a run is open it gives what it saw before.
func (b withButtons) Buttons(ctx context.Context) (device.ButtonState, error) {
	s := b.Scanner
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return device.ButtonState{Loaded: s.seen.Loaded}, nil
	}
	l, err := s.look(ctx)
	if err != nil {
		return device.ButtonState{}, fmt.Errorf("buttons of %s: %w", s.name, err)
	}
	return device.ButtonState{Down: l.down, Loaded: l.loaded}, nil
}

// Start sets the machine up for a run. The first sheet is fed by the first call
// of Next.
func (s *Scanner) Start(ctx context.Context, set device.Settings) (device.Run, error) {
	return s.startWith(ctx, set, steps[:])
}

func (s *Scanner) startWith(ctx context.Context, set device.Settings, steps []step) (*run, error) {
	if set.Mode == "" {
		set.Mode = device.Color
	}
	if set.Resolution == 0 {
		set.Resolution = 300
	}
	if err := checkSource(s.caps, set); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != nil {
		return nil, device.Faultf(device.Busy, "a run is open")
	}
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	for _, choose := range steps {
		for _, a := range choose(s.opts, &set) {
			if err := s.assign(ctx, s.p, a); err != nil {
				return nil, err
			}
		}
	}
	dpi := int(s.opts.resolution())
	if dpi <= 0 {
		dpi = set.Resolution
	}
	s.run = &run{s: s, p: s.p, set: set, dpi: dpi, stop: make(chan struct{})}
	s.f.runs.Add(1)
	return s.run, nil
}

// runEnded frees the machine for the next run.
func (s *Scanner) runEnded(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == r {
		s.run = nil
		s.f.runs.Add(-1)
	}
}

// Close gives the machine back and ends its helper.
func (s *Scanner) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dead := s.p.dead() != nil
	s.p.stop(stopTime)
	s.f.released(s, dead)
	return nil
}

// Diagnose says what the backend says of the machine, and what it printed.
func (s *Scanner) Diagnose(context.Context) []device.Section {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "device: %s\nkind: %s\nhelpers started: %d\n", s.name, s.kind, s.started)
	if why := s.p.dead(); why != nil {
		fmt.Fprintf(&b, "dead: %v\n", why)
	}
	for _, o := range s.opts {
		fmt.Fprintf(&b, "%s: kind %d, unit %d, caps %#x, limits", o.Name, o.Kind, o.Unit, o.Caps)
		switch {
		case o.Limits.Range != nil:
			fmt.Fprintf(&b, " %g to %g", o.number(o.Limits.Range[0]), o.number(o.Limits.Range[1]))
		case len(o.Limits.Words) > 0:
			for _, w := range o.Limits.Words {
				fmt.Fprintf(&b, " %g", o.number(w))
			}
		case len(o.Limits.Strings) > 0:
			fmt.Fprintf(&b, " %q", o.Limits.Strings)
		default:
			b.WriteString(" none")
		}
		if o.Kind == kindString {
			fmt.Fprintf(&b, ", value %q\n", o.Value.Text)
		} else {
			fmt.Fprintf(&b, ", value %g\n", o.number(o.Value.Word))
		}
	}
	said := strings.ToValidUTF8(s.p.said.Text(), "?")
	return []device.Section{{Title: "SANE options", Text: b.String()}, {Title: "What the SANE backend printed", Text: said}}
}
