package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// How often the registry looks. Finding is cheap by contract; asking a machine
// how it is costs a request on its wire. A person who opens a cover expects to
// see it within a breath.
const (
	findEvery   = 2 * time.Second
	statusEvery = 2 * time.Second
)

// openTimeout bounds the first questions to a machine; statusTimeout bounds
// one look at it. IPP-over-USB firmware is given 5 s for each start-up request.
const (
	openTimeout   = 20 * time.Second
	statusTimeout = 5 * time.Second
)

// DeviceState is one machine as the registry sees it now.
type DeviceState struct {
	Info   Info   `json:"info"`
	Name   string `json:"name"`
	Caps   Caps   `json:"caps"`
	Status Status `json:"status"`
}

// ErrUnknown says that no machine of that name has been seen.
var ErrUnknown = errors.New("no such scanner")

// Registry knows the machines of this box and owns every open one. A machine
// that goes keeps its entry in state [Gone], so that screens can say so and a
// replug finds its place again.
type Registry struct {
	log     *slog.Logger
	changed func(id string)
	pressed func(Press) // nil: nobody wants to know
	finders []Finder

	mu      sync.Mutex
	devices map[string]*entry
	choices map[string]Choice
	wake    chan struct{} // asks for a round at once

	asking   sync.WaitGroup // of the goroutines that open, ask and close machines
	watching sync.WaitGroup // of the goroutines that watch buttons
}

// A Choice is what people have chosen for one machine, whether it is here or
// not.
type Choice struct {
	Name   string // shown instead of make and model; empty: those
	Timing Timing // of the machine's own buttons
}

// entry is one machine. Its fields are guarded by Registry.mu.
type entry struct {
	state   DeviceState
	scanner Scanner // nil while gone or not yet opened
	lent    bool
	busy    bool     // being opened, asked or closed outside the lock
	events  []string // the last that happened, for a diagnosis
}

// NewRegistry returns a registry that looks through finders. changed is called,
// without any lock held, after a machine came, went or changed its status.
func NewRegistry(log *slog.Logger, changed func(id string), finders ...Finder) *Registry {
	return &Registry{
		log:     log,
		changed: changed,
		finders: finders,
		devices: make(map[string]*entry),
		choices: make(map[string]Choice),
		wake:    make(chan struct{}, 1),
	}
}

// OnPress has press called, from a goroutine of the registry, for every press of
// a machine's own button. It must be set before Run, and press must not wait.
func (r *Registry) OnPress(press func(Press)) { r.pressed = press }

// Choose sets what people have chosen for a machine. It need not be here.
func (r *Registry) Choose(id string, c Choice) {
	r.mu.Lock()
	r.choices[id] = c
	e, ok := r.devices[id]
	if ok {
		e.state.Name = r.nameOf(e.state.Info)
	}
	r.mu.Unlock()
	if ok {
		r.changed(id)
	}
}

// nameOf is what a machine is called; r.mu is held.
func (r *Registry) nameOf(i Info) string {
	if name := r.choices[i.ID].Name; name != "" {
		return name
	}
	return i.Name()
}

// Run looks for machines and asks them how they are until ctx ends; then it
// closes them all.
func (r *Registry) Run(ctx context.Context) error {
	defer r.closeAll()
	defer r.watching.Wait() // only opening a machine begins a watch
	defer r.asking.Wait()
	for {
		r.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(findEvery, statusEvery)):
		case <-r.wake:
		}
	}
}

// Look asks for a round at once instead of at the next tick.
func (r *Registry) Look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Devices lists all machines seen since the start, by ID.
func (r *Registry) Devices() []DeviceState {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]DeviceState, 0, len(r.devices))
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		list = append(list, r.devices[id].state)
	}
	return list
}

// Device gives one machine, or ErrUnknown.
func (r *Registry) Device(id string) (DeviceState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.devices[id]
	if !ok {
		return DeviceState{}, fmt.Errorf("scanner %q: %w", id, ErrUnknown)
	}
	return e.state, nil
}

// Acquire lends the machine to one user, who gives it back with release. A
// machine that is gone is a Fault of kind Unplugged, one already lent is Busy.
func (r *Registry) Acquire(id string) (s Scanner, release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.devices[id]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("scanner %q: %w", id, ErrUnknown)
	case e.lent:
		return nil, nil, Faultf(Busy, "scanner %s is lent", id)
	case e.scanner == nil && e.state.Status.Fault != "":
		return nil, nil, Faultf(e.state.Status.Fault, "scanner %s could not be opened", id)
	case e.scanner == nil && e.state.Status.State == WarmingUp:
		return nil, nil, Faultf(Warming, "scanner %s is not ready yet", id)
	case e.scanner == nil:
		return nil, nil, Faultf(Unplugged, "scanner %s is gone", id)
	}
	e.lent = true
	e.state.Status = Status{State: Scanning, Loaded: e.state.Status.Loaded}
	return e.scanner, func() { r.giveBack(id) }, nil
}

func (r *Registry) giveBack(id string) {
	r.mu.Lock()
	if e := r.devices[id]; e != nil {
		e.lent = false
	}
	r.mu.Unlock()
	r.Look()
}

// round finds all machines and begins to open, close or ask each of them that is
// not still at the last of these. It does not wait for the answers: a machine that
// hangs must not hide what the others say, nor keep a new one waiting.
func (r *Registry) round(ctx context.Context) {
	here := make(map[string]Found)
	complete := true
	for _, f := range r.finders {
		list, err := f.Find(ctx)
		if err != nil {
			// What could not be looked for must not be taken for gone.
			complete = false
			r.log.Warn("finding scanners failed", "err", err)
		}
		for _, d := range list {
			if _, twice := here[d.Info.ID]; !twice {
				here[d.Info.ID] = d
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, d := range here {
		e := r.devices[id]
		if e == nil {
			e = &entry{state: DeviceState{Info: d.Info, Name: r.nameOf(d.Info), Status: Status{State: Gone}}}
			r.devices[id] = e
		}
		if e.scanner == nil && !e.busy {
			e.busy = true
			r.asking.Go(func() { r.open(ctx, id, d) })
		}
	}
	for id, e := range r.devices {
		_, ok := here[id]
		switch s := e.scanner; {
		case s == nil && !e.busy && !ok && complete && e.state.Status.State != Gone: // it could not be opened
			e.busy = true
			r.asking.Go(func() { r.set(id, nil, Status{State: Gone}) })
		case s == nil || e.busy || e.lent:
		case !ok && complete:
			e.busy = true
			r.asking.Go(func() { r.lost(id, s) })
		case ok:
			e.busy = true
			r.asking.Go(func() { r.ask(ctx, id, s) })
		}
	}
}

// open opens a machine that has just been found.
func (r *Registry) open(ctx context.Context, id string, d Found) {
	octx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := d.Open(octx)
	if err != nil {
		st := statusOf(err)
		if KindOf(err) == "" {
			st = Status{State: Gone} // whether it is there at all nobody can say
		}
		if r.set(id, nil, st) && ctx.Err() == nil {
			r.note(id, "opening failed: %v", err)
			r.log.Warn("opening the scanner failed", "device", id, "err", err)
		}
		return
	}
	st, err := s.Status(octx)
	if err != nil {
		st = statusOf(err)
	}
	r.log.Info("scanner is here", "device", id, "make", s.Info().Make, "model", s.Info().Model, "port", s.Info().Port)
	r.set(id, s, st)
	if b, ok := s.(Buttons); ok && r.pressed != nil {
		r.watching.Go(func() { r.watch(ctx, id, s, b) })
	}
}

// statusOf is how a machine is that answers a question with err.
func statusOf(err error) Status {
	kind := KindOf(err)
	switch kind {
	case "":
		return Status{State: Faulty, Fault: BadAnswer}
	case Unplugged:
		return Status{State: Gone}
	case HeldByOther, Busy:
		return Status{State: InUse, Fault: HeldByOther}
	case Warming:
		return Status{State: WarmingUp}
	case Cover:
		return Status{State: CoverOpen, Fault: kind}
	case NoPaper:
		return Status{State: Empty}
	}
	return Status{State: Faulty, Fault: kind}
}

// lost closes a machine that its finder no longer sees.
func (r *Registry) lost(id string, s Scanner) {
	if err := s.Close(); err != nil {
		r.log.Debug("closing a scanner that is gone", "device", id, "err", err)
	}
	r.log.Info("scanner is gone", "device", id)
	r.set(id, nil, Status{State: Gone})
}

// ask looks at an open machine. One that answers Unplugged is closed, to be
// opened anew when it is found again.
func (r *Registry) ask(ctx context.Context, id string, s Scanner) {
	sctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := s.Status(sctx)
	switch {
	case err == nil:
		r.set(id, s, st)
	case ctx.Err() != nil: // we are stopping: the answer means nothing
		r.mu.Lock()
		r.devices[id].busy = false
		r.mu.Unlock()
	case KindOf(err) == Unplugged:
		r.lost(id, s)
	default:
		if r.set(id, s, statusOf(err)) {
			r.note(id, "it does not say how it is: %v", err)
			r.log.Warn("the scanner does not say how it is", "device", id, "err", err)
		}
	}
}

// set records what an open or a look gave, and reports whether it is news.
func (r *Registry) set(id string, s Scanner, st Status) bool {
	r.mu.Lock()
	e := r.devices[id]
	news := e.state.Status != st || (e.scanner == nil) != (s == nil)
	e.busy = false
	e.scanner = s
	if s != nil {
		e.state.Info, e.state.Caps, e.state.Name = s.Info(), s.Caps(), r.nameOf(s.Info())
	}
	if e.state.Status != st {
		e.note("%s -> %s %s", e.state.Status.State, st.State, st.Fault)
	}
	if !e.lent { // a lent machine is scanning, whatever a look begun before says
		e.state.Status = st
	}
	r.mu.Unlock()
	if news {
		r.changed(id)
	}
	return news
}

// note keeps what happened to a machine.
func (r *Registry) note(id, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices[id].note(format, args...)
}

func (r *Registry) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, e := range r.devices {
		if e.scanner == nil {
			continue
		}
		if err := e.scanner.Close(); err != nil {
			r.log.Debug("closing the scanner", "device", id, "err", err)
		}
		e.scanner = nil
	}
}
