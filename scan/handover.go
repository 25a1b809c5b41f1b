package scan

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"docscan/device"
	"docscan/store"
)

// yieldGrace is how long a hand-over waits for a sheet boundary: long enough
// for a machine that warms up and for both sides of a sheet at 600 dpi.
const yieldGrace = 30 * time.Second

// foundTime is how long a process that takes over looks for the machine of a
// batch before it stops the batch with a fault.
const foundTime = 60 * time.Second

// A Baton is what an engine leaves to the one that goes on in another process.
// It holds nothing that the store has.
type Baton struct {
	Feeding []store.BatchID `json:"feeding,omitempty"` // batches to be fed on
	Events  []BatonEvent    `json:"events,omitempty"`  // for those who come back with the last ID they have seen
	Last    uint64          `json:"last"`              // ID of the last event; 0: not known
	Broken  bool            `json:"broken,omitempty"`  // it did not end well: what it fed must be looked after by a person
	Paper   map[string]bool `json:"paper,omitempty"`   // what the feeders held
	Safe    time.Time       `json:"safe,omitzero"`     // for the light: see Engine
	Done    time.Time       `json:"done,omitzero"`     // the last document was finished
}

// A BatonEvent is an event with what it does not tell people.
type BatonEvent struct {
	Event
	For store.UserID `json:"for,omitempty"` // Event.Owner
}

// Yield prepares a hand-over to an engine in another process: every run is
// stopped at the next sheet boundary, and its batch is left as it is. Whoever
// asks for a scan from now on gets a batch that the next engine feeds.
// Everything else goes on. When Yield returns no machine is in use.
func (e *Engine) Yield(ctx context.Context) {
	e.mu.Lock()
	e.yielding = true
	feeds := make([]*feed, 0, len(e.feeds))
	for _, f := range e.feeds {
		f.yield()
		feeds = append(feeds, f)
	}
	e.mu.Unlock()
	ctx, stop := context.WithTimeout(ctx, yieldGrace)
	defer stop()
	var wg sync.WaitGroup
	for _, f := range feeds {
		wg.Go(func() { e.awaitYield(ctx, f) })
	}
	wg.Wait()
}

// awaitYield waits for the end of f, first patiently.
func (e *Engine) awaitYield(ctx context.Context, f *feed) {
	select {
	case <-f.done:
		return
	case <-ctx.Done():
	}
	e.log.Warn("the scanner came to no sheet boundary in time", "batch", f.batch, "device", f.device)
	if err := f.abandon(); err != nil {
		e.log.Warn("the scanner did not take the cancel", "batch", f.batch, "device", f.device, "err", err)
	}
	t := time.AfterFunc(shutdownGrace, f.stop)
	defer t.Stop()
	<-f.done
}

// Baton gives what the next engine needs. Run must have ended.
func (e *Engine) Baton() Baton {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := Baton{Paper: e.paper, Safe: e.safe, Done: e.delivered, Feeding: slices.Clone(e.left)}
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	b.Last = e.hub.last
	for _, ev := range e.hub.kept {
		b.Events = append(b.Events, BatonEvent{*ev, ev.Owner})
	}
	return b
}

// Take gives the engine what another has left, before Run. Events go on with
// their numbers, so that nobody misses one.
func (e *Engine) Take(b Baton) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken, e.broken = b.Feeding, b.Broken
	e.safe, e.delivered = b.Safe, b.Done
	if b.Paper != nil {
		e.paper = b.Paper
	}
	e.hub.take(b.Last, b.Events)
}

// take goes on after the event last with what a hub before has kept.
func (h *hub) take(last uint64, events []BatonEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last == 0 {
		return // nobody knows what was published; IDs begin above it
	}
	h.last = last
	for i, ev := range events[max(0, len(events)-keptEvents):] {
		if i > 0 && ev.ID != h.kept[i-1].ID+1 {
			break
		}
		ev.Event.Owner = ev.For
		h.kept = append(h.kept, &ev.Event)
	}
	if n := len(h.kept); n > 0 && h.kept[n-1].ID != last {
		h.kept = nil // with a gap nothing may be replayed
	}
}

// leave notes, if a hand-over is on its way, that the next engine feeds b.
func (e *Engine) leave(b store.Batch) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.yielding {
		return false
	}
	e.left = append(e.left, b.ID)
	return true
}

// leaveFed leaves the batch of f to the next engine, unless a fault or half a
// sheet wants a person.
func (e *Engine) leaveFed(f *feed, err error) bool {
	if err != nil && device.KindOf(err) != device.Stopped {
		return false
	}
	pages, err := e.store.Pages(f.batch)
	if err != nil || placeAfter(pages, f.duplex).redo != 0 {
		return false
	}
	e.log.Info("batch is left to the next process", "batch", f.batch, "pages", len(pages))
	return e.leave(store.Batch{ID: f.batch})
}

// keptFor reports whether a hand-over is on its way, and whether a batch is left
// already for this machine.
func (e *Engine) keptFor(id string) (yielding, left bool, err error) {
	e.mu.Lock()
	yielding = e.yielding
	batches := slices.Clone(e.left)
	for _, f := range e.feeds {
		left = left || f.device == id
	}
	e.mu.Unlock()
	for _, batch := range batches {
		b, err := e.store.Batch(batch)
		if err != nil {
			return yielding, false, fmt.Errorf("look at a batch that is handed over: %w", err)
		}
		left = left || b.Device == id
	}
	return yielding, left, nil
}

// borrowed is what a request needs of a machine before its batch is opened.
type borrowed struct {
	scanner  device.Scanner // nil: the next engine has it
	release  func()
	settings device.Settings
}

// borrow acquires the machine and says what the profile means on it. While a
// hand-over is on its way only the latter can be done.
func (e *Engine) borrow(id string, p store.Profile) (borrowed, error) {
	yielding, left, err := e.keptFor(id)
	switch {
	case err != nil:
		return borrowed{}, err
	case yielding && left:
		return borrowed{}, ErrDeviceBusy
	case yielding:
		d, err := e.reg.Device(id)
		if err != nil {
			return borrowed{}, err
		}
		set, err := settingsOn(p, d.Caps, d.Name)
		return borrowed{release: func() {}, settings: set}, err
	}
	s, release, err := e.acquire(id)
	if err != nil {
		return borrowed{}, err
	}
	set, err := settingsFor(p, s)
	if err != nil {
		release()
		return borrowed{}, err
	}
	return borrowed{s, release, set}, nil
}

// feedOn goes on with the batches that another engine has left, each as soon as
// its machine is here. It returns at once.
func (e *Engine) feedOn(ids []store.BatchID) error {
	for _, id := range ids {
		b, err := e.store.Batch(id)
		if err != nil {
			return err
		}
		if b.State != store.BatchScanning {
			continue
		}
		pages, err := e.store.Pages(id)
		if err != nil {
			return err
		}
		e.log.Info("batch goes on here", "batch", id, "device", b.Device, "pages", len(pages))
		if err := e.startFeed(b, borrowed{}, pages, true); err != nil {
			return err
		}
	}
	return nil
}

// await acquires the machine of a batch that was left by another engine.
func (e *Engine) await(ctx context.Context, f *feed, p store.Profile) (borrowed, error) {
	ctx, stop := context.WithTimeout(ctx, foundTime)
	defer stop()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		s, release, err := e.acquire(f.device)
		if err == nil {
			set, err := settingsFor(p, s)
			if err != nil {
				release()
			}
			return borrowed{s, release, set}, err
		}
		if f.wasCanceled() || f.isYielding() {
			return borrowed{}, device.Faultf(device.Stopped, "before the scanner was here")
		}
		select {
		case <-ctx.Done():
			return borrowed{}, &device.Fault{Kind: device.Unplugged, Detail: "after the hand-over", Err: err}
		case <-t.C:
		}
	}
}
