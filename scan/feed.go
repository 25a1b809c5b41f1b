package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"docscan/device"
	"docscan/scan/refusal"
	"docscan/store"
	"docscan/store/audit"
)

// shutdownGrace is how long a stopping daemon waits for the side that is on
// its way in: a slow scanner takes some 6 s for a side at 300 dpi.
const shutdownGrace = 10 * time.Second

// cancelTimeout bounds the request that asks a machine to stop feeding.
const cancelTimeout = 5 * time.Second

// A feed is one goroutine that takes sides from a machine into a batch.
type feed struct {
	batch  store.BatchID
	device string
	duplex bool               // both sides of each sheet are asked for
	stop   context.CancelFunc // gives up the side on its way in
	done   chan struct{}      // closed when the machine is free again

	mu       sync.Mutex
	ending   bool       // no more sides come; what is left is to write it down
	run      device.Run // nil until the machine has accepted the job
	canceled bool       // somebody wants it to end; keep what is safe
	yielding bool       // it ends at the next sheet boundary; another process goes on
}

// cancel asks the machine to stop feeding. It returns at once; the feed ends
// when the machine does.
func (f *feed) cancel() error {
	f.mu.Lock()
	f.canceled = true
	run := f.run
	f.mu.Unlock()
	if run == nil {
		return nil // begin does it
	}
	ctx, stop := context.WithTimeout(context.Background(), cancelTimeout)
	defer stop()
	return run.Cancel(ctx)
}

// abandon asks the machine to stop feeding at once, for a hand-over.
func (f *feed) abandon() error {
	f.mu.Lock()
	run := f.run
	f.mu.Unlock()
	if run == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), cancelTimeout)
	defer stop()
	return run.Cancel(ctx)
}

// yield ends the feed at the next sheet boundary.
func (f *feed) yield() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.yielding = true
}

func (f *feed) isYielding() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.yielding
}

// begin gives the feed its run, and reports whether it was canceled before.
func (f *feed) begin(run device.Run) (canceled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run = run
	return f.canceled
}

// ends says that no more sides come.
func (f *feed) ends() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ending = true
}

func (f *feed) isEnding() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ending
}

func (f *feed) wasCanceled() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.canceled
}

// Scan opens a batch and begins to feed. When a fault has stopped a batch of
// the same owner on that machine, Scan goes on with it instead, in the same
// document, unless r says to start anew; then, and if it is somebody else's, it is
// finished first with the pages that are there. It returns as soon as the batch is recorded; what becomes of it, events tell.
//
// The error wraps ErrNoDevice, ErrDeviceBusy, ErrUnfit, device.ErrUnknown,
// store.ErrNotFound (the profile) or a *device.Fault.
func (e *Engine) Scan(ctx context.Context, r Request) (store.Batch, error) {
	id, err := e.chooseDevice(r.Device)
	if err != nil {
		return store.Batch{}, err
	}
	e.awaitEnd(ctx, id)
	// A wish that cannot be met must not move a batch that waits.
	profile, err := e.profile(r.Profile)
	if err != nil {
		return store.Batch{}, err
	}
	stopped, err := e.stoppedOn(id)
	if err != nil {
		return store.Batch{}, err
	}
	if stopped != nil {
		if !r.Anew && (r.Origin == "panel" || stopped.Owner == r.Owner) {
			return e.Resume(ctx, stopped.ID, r.By)
		}
		if _, err := e.Finish(ctx, stopped.ID, r.By); err != nil && !errors.Is(err, ErrState) {
			return store.Batch{}, err
		}
	}
	m, err := e.borrow(id, profile)
	if err != nil {
		return store.Batch{}, err
	}
	now := time.Now()
	b := store.Batch{
		ID:        store.BatchID(store.NewID()),
		State:     store.BatchScanning,
		Device:    id,
		Profile:   profile,
		Owner:     r.Owner,
		Origin:    r.Origin,
		Created:   now,
		Updated:   now,
		Documents: []store.DocumentID{store.DocumentID(store.NewID())},
	}
	if err := e.store.AddBatch(b, r.By.entry("scan", string(b.ID))); err != nil {
		m.release()
		return store.Batch{}, fmt.Errorf("open a batch: %w", err)
	}
	e.log.Info("batch opened", "batch", b.ID, "device", id, "profile", profile.ID, "origin", r.Origin)
	return b, e.startFeed(b, m, nil, false)
}

// Resume goes on with a batch that a fault has stopped, in the same document.
// A machine that holds no paper any more stops it again with that fault.
func (e *Engine) Resume(ctx context.Context, id store.BatchID, by By) (store.Batch, error) {
	b, err := e.store.Batch(id)
	if err != nil {
		return store.Batch{}, err
	}
	if b.State != store.BatchStopped {
		return store.Batch{}, fmt.Errorf("resume: %w", ErrState)
	}
	e.awaitEnd(ctx, b.Device)
	m, err := e.borrow(b.Device, b.Profile)
	if err != nil {
		return store.Batch{}, err
	}
	pages, err := e.store.Pages(id)
	if err != nil {
		m.release()
		return store.Batch{}, fmt.Errorf("resume: %w", err)
	}
	b, err = e.store.UpdateBatch(id, func(b *store.Batch) error {
		if b.State != store.BatchStopped {
			return fmt.Errorf("resume: %w", ErrState)
		}
		b.State = store.BatchScanning
		return nil
	}, by.entry("scan_resume", string(id)))
	if err != nil {
		m.release()
		return store.Batch{}, err
	}
	e.log.Info("batch resumed", "batch", id, "device", b.Device)
	return b, e.startFeed(b, m, pages, false)
}

// Finish closes a stopped batch with the pages that are there.
func (e *Engine) Finish(_ context.Context, id store.BatchID, by By) (store.Batch, error) {
	b, err := e.store.UpdateBatch(id, func(b *store.Batch) error {
		if b.State != store.BatchStopped {
			return fmt.Errorf("finish: %w", ErrState)
		}
		closeFeeding(b)
		return nil
	}, by.entry("scan_finish", string(id)))
	if err != nil {
		return store.Batch{}, err
	}
	e.closed(b)
	return b, nil
}

// Cancel stops feeding after the current sheet and keeps what is safe; a batch
// without a page ends as canceled. A stopped batch is finished.
func (e *Engine) Cancel(ctx context.Context, id store.BatchID, by By) (store.Batch, error) {
	b, err := e.store.Batch(id)
	if err != nil {
		return store.Batch{}, err
	}
	if b.State == store.BatchStopped {
		return e.Finish(ctx, id, by)
	}
	e.mu.Lock()
	f := e.feeds[id]
	e.mu.Unlock()
	if b.State != store.BatchScanning || f == nil && b.Upload == nil {
		return store.Batch{}, fmt.Errorf("cancel: %w", ErrState)
	}
	if err := e.store.AddAudit(by.entry("scan_cancel", string(id))); err != nil {
		return store.Batch{}, fmt.Errorf("cancel: %w", err)
	}
	if f == nil {
		if !e.cancelUpload(id) {
			return store.Batch{}, fmt.Errorf("cancel: %w", ErrState)
		}
		return e.store.Batch(id)
	}
	if err := f.cancel(); err != nil {
		// The machine may feed on; the feed ends with the next side it takes.
		e.log.Warn("the scanner did not take the cancel", "batch", id, "device", f.device, "err", err)
	}
	return b, nil
}

// awaitEnd waits for a machine whose last sheet is in, but whose end is still
// being written down: a press at that moment is no mistake.
func (e *Engine) awaitEnd(ctx context.Context, device string) {
	e.mu.Lock()
	var ending *feed
	for _, f := range e.feeds {
		if f.device == device && f.isEnding() {
			ending = f
		}
	}
	e.mu.Unlock()
	if ending == nil {
		return
	}
	select {
	case <-ending.done:
	case <-ctx.Done():
	}
}

// chooseDevice resolves the machine a request means.
func (e *Engine) chooseDevice(id string) (string, error) {
	if id != "" {
		if _, err := e.reg.Device(id); err != nil {
			return "", err
		}
		return id, nil
	}
	var first string
	for _, d := range e.reg.Devices() {
		switch d.Status.State {
		case device.Gone:
			continue
		case device.Ready:
			if first == "" || d.Status.Loaded {
				first = d.Info.ID
			}
		default:
			if first == "" {
				first = d.Info.ID
			}
		}
	}
	if first == "" {
		return "", ErrNoDevice
	}
	return first, nil
}

// stoppedOn gives the batch that a fault has stopped on that machine, if any.
func (e *Engine) stoppedOn(id string) (*store.Batch, error) {
	open, err := e.store.OpenBatches()
	if err != nil {
		return nil, fmt.Errorf("look for a stopped batch: %w", err)
	}
	for _, b := range open {
		if b.State == store.BatchStopped && b.Device == id {
			return &b, nil
		}
	}
	return nil, nil
}

func (e *Engine) profile(id store.ProfileID) (store.Profile, error) {
	if id != "" {
		return e.store.Profile(id)
	}
	list, err := e.store.Profiles()
	if err != nil {
		return store.Profile{}, fmt.Errorf("choose a profile: %w", err)
	}
	if len(list) == 0 {
		return store.Profile{}, fmt.Errorf("choose a profile: %w", store.ErrNotFound)
	}
	return list[0], nil
}

// acquire borrows a machine.
func (e *Engine) acquire(id string) (device.Scanner, func(), error) {
	s, release, err := e.reg.Acquire(id)
	if device.KindOf(err) == device.Busy {
		return nil, nil, ErrDeviceBusy
	}
	return s, release, err
}

// within bounds a length by what the machine can take, if it says so.
func within(n, most int) int {
	if most > 0 {
		return min(n, most)
	}
	return n
}

// settingsFor says what a profile means on machine s. Both sides are taken
// where the machine can; a source it lacks is an error.
func settingsFor(p store.Profile, s device.Scanner) (device.Settings, error) {
	return settingsOn(p, s.Caps(), s.Info().Name())
}

// settingsOn is settingsFor a machine of that name.
func settingsOn(p store.Profile, caps device.Caps, machine string) (device.Settings, error) {
	set := device.Settings{Mode: device.ColorMode(p.Mode), Resolution: p.Resolution, DoubleFeed: device.DoubleFeedPolicy(p.DoubleFeed)}
	switch p.Source {
	case "platen", "feeder":
		set.Source = device.Source(p.Source)
	default:
		set.Source = device.Feeder
		if !slices.Contains(caps.Sources, device.Feeder) {
			set.Source = device.Platen
		}
	}
	if !slices.Contains(caps.Sources, set.Source) {
		if set.Source == device.Platen {
			return set, refusal.New(ErrUnfit, "The profile %q wants the glass, which %s does not have. Choose another profile or scanner.", p.Name, machine)
		}
		return set, refusal.New(ErrUnfit, "The profile %q wants the feeder, which %s does not have. Choose another profile or scanner.", p.Name, machine)
	}
	set.Duplex = p.Duplex && caps.Duplex && set.Source == device.Feeder
	paper, ok := paperNamed(p.Paper)
	if !ok {
		return set, refusal.New(ErrUnfit, "The profile %q wants paper %q, which is not known.", p.Name, p.Paper)
	}
	set.Width, set.Length = within(paper.Width, caps.MaxWidth), within(paper.Length, caps.MaxLength)
	return set, nil
}

// place says where the sides of a run go on in their batch.
type place struct {
	pages  int // the last Seq in use
	sheets int // sheets before the first of this run
	// redo is the front of a sheet whose back a fault has kept from us. The
	// person puts the sheet back, so its front comes again and takes the place
	// of this one. 0: none.
	redo int
	// goOn: the run goes on where another process has ended one, so an empty
	// feeder is the end of the batch and no fault.
	goOn bool
}

func placeAfter(pages []store.Page, duplex bool) place {
	if len(pages) == 0 {
		return place{}
	}
	last := pages[len(pages)-1]
	at := place{pages: last.Seq, sheets: last.Sheet}
	if duplex && !last.Back {
		at.redo, at.sheets = last.Seq, last.Sheet-1
	}
	return at
}

// startFeed lets a goroutine feed b, which has pages already. It owns the machine
// from here on. Without a machine it waits for that of a batch which another
// process has left (goOn).
func (e *Engine) startFeed(b store.Batch, m borrowed, pages []store.Page, goOn bool) error {
	if e.leave(b) {
		m.release()
		return nil // the next process feeds it
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &feed{batch: b.ID, device: b.Device, duplex: m.settings.Duplex, stop: stop, done: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopping || e.ctx == nil {
		stop()
		if m.release != nil {
			m.release()
		}
		return fmt.Errorf("scan: %w", context.Canceled) // takeUp or the next start closes the batch
	}
	f.yielding = e.yielding
	e.feeds[b.ID] = f
	e.setLight(device.LightScanning)
	e.hub.publish(Event{Name: EventBatch, Batch: b.ID, Device: b.Device})
	e.hub.publish(Event{Name: EventDevice, Device: b.Device})
	e.feeding.Go(func() {
		var err error
		if m.scanner == nil {
			m, err = e.await(ctx, f, b.Profile)
			f.duplex = m.settings.Duplex
		}
		if err == nil {
			at := placeAfter(pages, f.duplex)
			at.goOn = goOn && len(pages) > 0
			err = e.feedSides(ctx, f, b, m.scanner, m.settings, at)
		}
		stop()
		f.ends()
		e.endFeed(f, err)
		if m.release != nil {
			m.release()
		}
		e.mu.Lock()
		delete(e.feeds, f.batch)
		e.mu.Unlock()
		close(f.done) // only now: who waits may feed the same batch
	})
	return nil
}

// feedSides takes sides until the feeder is empty (nil), a fault stops it, or
// somebody cancels.
func (e *Engine) feedSides(ctx context.Context, f *feed, b store.Batch, s device.Scanner, set device.Settings, at place) (err error) {
	if err := e.room(); err != nil {
		return err
	}
	run, err := s.Start(ctx, set)
	if at.goOn && device.KindOf(err) == device.NoPaper { // some machines say so here, others with the first side
		return nil
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer func() {
		if cerr := run.Close(); cerr != nil {
			e.log.Warn("ending the run failed", "batch", b.ID, "device", b.Device, "err", cerr)
		}
	}()
	if f.begin(run) {
		if err := f.cancel(); err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
	}
	asked := false // the machine to stop, for a hand-over
	for n := at.pages + 1; ; n++ {
		if err := e.room(); err != nil {
			return err
		}
		side, err := run.Next(ctx)
		if errors.Is(err, io.EOF) || at.goOn && device.KindOf(err) == device.NoPaper {
			return nil
		}
		if err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
		at.goOn = false
		p := store.Page{
			Batch:      b.ID,
			Seq:        n,
			Sheet:      at.sheets + side.Sheet,
			Back:       side.Back,
			State:      store.PageSafe,
			Resolution: side.Resolution,
			DoubleFeed: side.DoubleFeed,
			Turned:     side.Turned || side.Back && e.backsTurned(b.Device),
		}
		if at.redo != 0 && !side.Back {
			p.Supersedes, at.redo = at.redo, 0
		}
		if err := e.keepSide(p, side); err != nil {
			return fmt.Errorf("page %d: %w", n, err)
		}
		if f.isYielding() && !asked && (!set.Duplex || side.Back) {
			// What the machine has drawn in already still comes.
			if err := f.abandon(); err != nil {
				e.log.Warn("the scanner did not take the cancel", "batch", b.ID, "device", b.Device, "err", err)
			}
			asked = true
		}
	}
}

// room is a fault when the disk has too little room for another side.
func (e *Engine) room() error {
	free, err := e.store.FreeBytes()
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if free < uint64(e.cfg.MinFreeMB)<<20 {
		return device.Faultf(device.DiskFull, "%d MiB are free, %d are the least", free>>20, e.cfg.MinFreeMB)
	}
	return nil
}

// keepSide streams side to disk and records it as p. When it returns nil the
// page outlives any crash; only then is "safe" said to anyone.
func (e *Engine) keepSide(p store.Page, side *device.Side) error {
	start := time.Now()
	w, err := e.store.NewBlob()
	if err != nil {
		side.Body.Close()
		return diskFault(err)
	}
	defer w.Abort() // does nothing after Commit
	from := &readError{r: side.Body}
	_, err = io.Copy(w, from)
	if cerr := side.Body.Close(); err == nil && cerr != nil {
		err, from.err = cerr, cerr
	}
	if from.err != nil && device.KindOf(from.err) == "" {
		return &device.Fault{Kind: device.Unplugged, Detail: "in mid-page", Err: from.err}
	}
	if err != nil {
		return diskFault(err)
	}
	if p.Raw, err = w.Commit(side.Type); err != nil {
		return diskFault(err)
	}
	p.Created = time.Now()
	b, err := e.store.AddPage(p)
	if err != nil {
		return diskFault(err)
	}
	e.countPage(store.PageSafe)
	e.log.Info("page safe", "batch", p.Batch, "page", p.Seq, "sheet", p.Sheet, "back", p.Back,
		"bytes", p.Raw.Size, "ms", time.Since(start).Milliseconds())
	e.hub.publish(Event{Name: EventPage, Batch: b.ID, Page: p.Seq, Device: b.Device})
	e.prepare.add(pageKey{p.Batch, p.Seq})
	return nil
}

// readError remembers the error of a reader, so that a copy that fails can tell
// the machine's fault from the disk's.
type readError struct {
	r   io.Reader
	err error
}

func (r *readError) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// diskFault makes a full disk the fault it is and leaves other errors alone.
func diskFault(err error) error {
	if errors.Is(err, store.ErrDiskFull) {
		return &device.Fault{Kind: device.DiskFull, Err: err}
	}
	return err
}

// endFeed records how feeding ended.
func (e *Engine) endFeed(f *feed, err error) {
	e.mu.Lock()
	stopping := e.stopping
	e.mu.Unlock()
	canceled := f.wasCanceled()
	if f.isYielding() && !canceled && e.leaveFed(f, err) {
		return
	}
	if err != nil {
		e.countFault(err)
		e.log.Warn("feeding stopped", "batch", f.batch, "device", f.device, "fault", device.KindOf(err), "err", err)
	}
	kind := device.KindOf(err)
	pages, perr := e.store.Pages(f.batch)
	var b store.Batch
	if perr == nil {
		b, perr = e.store.UpdateBatch(f.batch, func(b *store.Batch) error {
			safe := b.Pages
			if placeAfter(pages, f.duplex).redo != 0 && err != nil {
				safe-- // its sheet must be put back
			}
			switch {
			case stopping:
				b.Fault = tellFault(device.Interrupted, b.Pages)
				closeFeeding(b)
			case canceled:
				closeFeeding(b)
			case err == nil && b.Pages == 0:
				b.Fault = tellFault(device.NoPaper, 0)
				closeFeeding(b)
			case err == nil:
				closeFeeding(b)
			case b.Pages == 0:
				b.Fault = tellFault(kind, 0)
				closeFeeding(b)
			default:
				b.State = store.BatchStopped
				b.Fault = tellFault(kind, safe)
			}
			return nil
		}, audit.Entry{
			Time: time.Now(), EventType: audit.DataAccess, Actor: "docscan",
			Action: "scan_end", Target: string(f.batch), Status: auditStatus(err), Details: string(kind),
		})
	}
	e.feederLeft(f.device, err)
	e.mu.Lock()
	if err != nil && !canceled && !stopping && len(pages) == 0 {
		e.setLight(device.LightFault)
	}
	e.mu.Unlock()
	if perr != nil {
		// takeUp closes it as soon as the store takes writes again.
		e.log.Error("recording the end of feeding failed", "batch", f.batch, "err", perr)
		return
	}
	e.closed(b)
}

func auditStatus(err error) string {
	if err != nil {
		return audit.Failure
	}
	return audit.Success
}

// closeFeeding moves b to the state it has when no more sides come.
func closeFeeding(b *store.Batch) {
	b.Closed = time.Now()
	switch {
	case b.Pages > 0:
		b.State = store.BatchProcessing
	case b.Fault != nil:
		b.State = store.BatchFailed
	default:
		b.State = store.BatchCanceled
	}
}

// closed tells that b has a new state, and makes its document if that was all
// it waited for.
func (e *Engine) closed(b store.Batch) {
	e.countBatch(b.State)
	e.log.Info("batch moved", "batch", b.ID, "state", b.State, "pages", b.Pages)
	e.hub.publish(Event{Name: EventBatch, Batch: b.ID, Device: b.Device})
	e.showLight()
	if b.State == store.BatchProcessing {
		e.assembleWhenDone(b.ID)
	}
}

// stopFeeding ends all feeds of a stopping daemon: the machines are asked to
// stop, sides on their way in may arrive, then they are given up.
func (e *Engine) stopFeeding() {
	e.mu.Lock()
	e.stopping = true
	var feeds []*feed
	for _, f := range e.feeds {
		feeds = append(feeds, f)
	}
	e.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range feeds {
		wg.Go(func() {
			if err := f.cancel(); err != nil {
				e.log.Warn("the scanner did not take the cancel", "batch", f.batch, "device", f.device, "err", err)
			}
		})
		t := time.AfterFunc(shutdownGrace, f.stop)
		defer t.Stop()
	}
	wg.Wait()
	e.feeding.Wait()
}

// closeInterrupted closes the batches that a process before this one was
// feeding when it ended, but not those that it has left to this one. Every page
// it has recorded is safe.
func (e *Engine) closeInterrupted(left []store.BatchID) error {
	open, err := e.store.OpenBatches()
	if err != nil {
		return err
	}
	for _, b := range open {
		if b.State == store.BatchScanning && b.Upload == nil && !slices.Contains(left, b.ID) {
			if err := e.closeOrphan(b.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// closeOrphan closes a batch in state scanning that nobody feeds.
func (e *Engine) closeOrphan(id store.BatchID) error {
	b, err := e.store.UpdateBatch(id, func(b *store.Batch) error {
		b.Fault = tellFault(device.Interrupted, b.Pages)
		if e.broken && b.Pages > 0 {
			b.State = store.BatchStopped // the next press goes on in the same document
		} else {
			closeFeeding(b)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("close batch %s: %w", id, err)
	}
	e.log.Warn("batch was interrupted", "batch", id, "pages", b.Pages)
	e.hub.publish(Event{Name: EventBatch, Batch: id, Device: b.Device})
	return nil
}
